//! Reads a page of a partition, or where to begin.

use tito_core::engine::{KeyValue, SnapshotVersion};
use tito_core::keys::KeyRange;
use tito_core::row::StoredRow;
use tito_core::{Database, Now, Result, Timestamp};

use crate::worker::low_watermark::LowWatermark;

pub(super) struct Page {
    pub(super) wanted: Wanted,
    pub(super) entries: Vec<KeyValue>,
    /// When it was read: its place in the order, and the time.
    pub(super) seen: Timestamp,
    pub(super) now: Now,
    pub(super) version: Option<SnapshotVersion>,
    /// The monotonic clock before the read.
    pub(super) asked_millis: u64,
}

#[derive(Clone)]
pub(super) enum Wanted {
    /// This many events of a range.
    Events(KeyRange, usize),
    /// The checkpoint under a key.
    LowWatermark(Vec<u8>),
    /// This many events of a range that may already have been waiting when time was set back.
    ToWaitFor(KeyRange, usize),
    /// Events that have waited, by their keys.
    Waited(Vec<Vec<u8>>),
}

pub(super) async fn read_page(database: &Database, wanted: Wanted) -> Result<Page> {
    let asked_millis = database.clock().monotonic_millis();
    let tx = database.begin().await?;
    let entries = match wanted.clone() {
        Wanted::Events(range, limit) | Wanted::ToWaitFor(range, limit) => tx.scan(range, limit).await?,
        Wanted::LowWatermark(key) => tx.get(&key).await?.map(|value| (key, value)).into_iter().collect(),
        Wanted::Waited(keys) => {
            let stored = tx.batch_get(keys.clone()).await?;
            keys.into_iter().zip(stored).filter_map(|(key, row)| Some((key, row?))).collect()
        }
    };
    let (seen, now, version) = (tx.start_timestamp(), tx.now(), tx.version());
    tx.rollback().await;
    Ok(Page { wanted, entries, seen, now, version, asked_millis })
}

/// The floor of a checkpoint. An unreadable one only costs a scan from the beginning.
pub(super) fn checkpoint_floor(key: &[u8], value: &[u8]) -> Option<i64> {
    LowWatermark::decode(key, value).ok().map(|checkpoint| checkpoint.floor)
}
