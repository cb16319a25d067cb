//! The events of an entity in one queue.

use serde::Serialize;
use tito_core::KeyText;
use tito_core::database::{PageSize, Walk};
use tito_core::event::EventHead;

use super::find::partitions_of;
use crate::error::QueueError;
use crate::inspect::{FoundEvent, FoundIn, PendingState, read_event};
use crate::place::Kind;
use crate::queue::TitoQueue;

/// How many rows are read of each kind: pending, dead and done.
const MOST_SEARCHED: usize = 10_000;

/// How many bytes of events are found, as they are stored, but for those of the last page.
const MOST_FOUND_BYTES: usize = 8 << 20;

/// How many are read at once.
const PAGE: usize = 200;
const PAGE_BYTES: usize = 16 << 20;

/// The events of an entity in one queue.
#[derive(Clone, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct EntityEvents {
    /// Its events: pending ones first, in the order in which they are handled, then dead and done ones, oldest first.
    pub events: Vec<FoundEvent>,
    /// How many rows were read.
    pub rows_read: u64,
    /// Whether these are all: neither the limit nor the bound on what is read was reached.
    pub is_whole: bool,
}

impl TitoQueue {
    /// Up to `limit` events of an entity in one queue, whether pending, dead or done.
    ///
    /// Reads one partition of the queue (two while the number of partitions is being changed), at most 10,000 rows of
    /// each kind and in pages of 200 and 16 MiB, each at its own snapshot, until what was found has
    /// 8 MiB.
    ///
    /// # Errors
    /// [`TitoError::InvalidName`](tito_core::TitoError::InvalidName),
    /// [`QueueError::UnknownTopic`], [`QueueError::UnknownGroup`], and those of the engine.
    pub async fn find_by_entity(&self, queue: &str, entity: &str, limit: usize) -> Result<EntityEvents, QueueError> {
        let topic = self.existing(queue).await?;
        let mut found = EntityEvents { is_whole: true, ..EntityEvents::default() };
        let mut found_bytes = 0;
        for kind in Kind::ALL {
            let mut rest = MOST_SEARCHED;
            for partition in partitions_of(&topic, entity) {
                let mut walk = Walk::over(kind.of_partition(queue, partition))
                    .in_pages(PageSize::entries(PAGE).and_bytes(PAGE_BYTES));
                while rest > 0
                    && found.events.len() < limit
                    && found_bytes < MOST_FOUND_BYTES
                    && let Some((page, now)) = walk.next(&self.engine).await?
                {
                    rest = rest.saturating_sub(page.len());
                    found.rows_read += page.len() as u64;
                    for (key, value) in page {
                        if EventHead::decode(&key, &value).is_ok_and(|head| head.entity == entity) {
                            found.events.push(shown(queue, kind, key, &value, now.seconds()));
                            found_bytes += value.len();
                        }
                    }
                }
                found.is_whole &= walk.is_over();
            }
        }
        found.is_whole &= found.events.len() <= limit;
        found.events.truncate(limit);
        Ok(found)
    }
}

fn shown(queue: &str, kind: Kind, key: Vec<u8>, value: &[u8], now: i64) -> FoundEvent {
    let event = read_event(&key, value);
    let found_in = match kind {
        Kind::Pending => FoundIn::Pending(PendingState::of(&key, event.as_ref(), now).0),
        Kind::Dead => FoundIn::Dead,
        Kind::Done => FoundIn::Done,
    };
    FoundEvent { queue: queue.to_string(), found_in, key: KeyText::from(key), event }
}
