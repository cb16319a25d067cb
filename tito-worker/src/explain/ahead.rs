//! What comes before an event in its partition.

use tito_core::engine::KeyValue;
use tito_core::event::EventHead;
use tito_core::keys::KeyRange;
use tito_core::{Result, Transaction};

use crate::keys;

/// How many rows are read from the beginning of the partition, and as many before the event if these don't reach it.
const MOST_READ: usize = 300;

/// What comes before an event.
pub(super) struct Ahead {
    /// How many rows, as far as they were counted.
    pub(super) before: u64,
    /// Whether there are more.
    pub(super) at_least: bool,
    /// The first that was found of those of its entity.
    pub(super) of_its_entity: Option<KeyValue>,
    pub(super) rows_read: u64,
}

/// Reads what lies before the event under `key`.
pub(super) async fn ahead(tx: &Transaction, queue: &str, partition: u16, key: &[u8], entity: &str) -> Result<Ahead> {
    let range = KeyRange::new(keys::events_of_partition(queue, partition).start, key.to_vec());
    let first = tx.scan(range.clone(), MOST_READ).await?;
    let is_of_it = |(key, value): &KeyValue| EventHead::decode(key, value).is_ok_and(|head| head.entity == entity);
    let (before, at_least) = (first.len() as u64, first.len() == MOST_READ);
    let mut ahead =
        Ahead { before, at_least, of_its_entity: first.iter().find(|row| is_of_it(row)).cloned(), rows_read: before };
    if ahead.of_its_entity.is_some() {
        return Ok(ahead);
    }
    if let Some((last, _)) = first.last().filter(|_| at_least) {
        let mut latest = tx.scan_reverse(range.after(last), MOST_READ).await?;
        ahead.rows_read += latest.len() as u64;
        ahead.before += latest.len() as u64;
        ahead.at_least = latest.len() == MOST_READ;
        latest.reverse();
        ahead.of_its_entity = latest.into_iter().find(is_of_it);
    }
    Ok(ahead)
}
