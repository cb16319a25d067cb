//! Reads a page of a partition, or where to begin.

use tito_core::engine::KeyValue;
use tito_core::keys::{self, KeyRange};
use tito_core::row::StoredRow;
use tito_core::{Database, Result, Timestamp};

use crate::worker::checkpoint::Checkpoint;

pub(super) struct Page {
    pub(super) entries: Vec<KeyValue>,
    /// When it was read.
    pub(super) seen: Timestamp,
    /// What the clock showed before.
    pub(super) asked_millis: u64,
}

pub(super) async fn read_page(engine: &Database, range: KeyRange, limit: usize) -> Result<Page> {
    let asked_millis = engine.clock().now_millis();
    let tx = engine.begin().await?;
    let entries = tx.scan(range, limit).await?;
    let seen = tx.start_timestamp();
    tx.rollback().await;
    Ok(Page { entries, seen, asked_millis })
}

/// A page of the checkpoint alone.
pub(super) async fn read_checkpoint(engine: &Database, queue: &str, partition: u16) -> Result<Page> {
    let key = keys::checkpoint(queue, partition);
    let asked_millis = engine.clock().now_millis();
    let tx = engine.begin().await?;
    let value = tx.get(&key).await?;
    let seen = tx.start_timestamp();
    tx.rollback().await;
    Ok(Page { entries: value.map(|value| (key, value)).into_iter().collect(), seen, asked_millis })
}

/// The floor of a checkpoint. One that can't be read costs a scan from the beginning, nothing else.
pub(super) fn checkpoint_floor(key: &[u8], value: &[u8]) -> Option<i64> {
    Checkpoint::decode(key, value).ok().map(|checkpoint| checkpoint.floor)
}
