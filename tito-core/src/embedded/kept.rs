//! Snapshots that are kept for as long as somebody holds them.

use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;

use super::Core;
use super::head::{SnapshotSlot, lock};
use super::store::{Snapshot, StoreResult};
use super::transaction::{closed, read};
use crate::engine::{Direction, KeyValue, TitoSnapshot};
use crate::error::Result;
use crate::keys::KeyRange;
use crate::timestamp::Timestamp;

/// A state of the embedded engine. What it sees stays in memory or in the database file until it is dropped.
pub(super) struct KeptSnapshot {
    pub(super) core: Arc<Core>,
    pub(super) timestamp: Timestamp,
    /// Emptied when the engine is closed.
    pub(super) slot: Arc<SnapshotSlot>,
}

impl KeptSnapshot {
    async fn read<T: Send + 'static>(
        &self,
        operation: &'static str,
        keys: usize,
        f: impl FnOnce(&dyn Snapshot) -> StoreResult<T> + Send + 'static,
    ) -> Result<T> {
        let Some(snapshot) = lock(&self.slot).clone() else { return Err(closed(&self.core)) };
        read(&self.core, snapshot, operation, keys, f).await
    }
}

impl TitoSnapshot for KeptSnapshot {
    fn timestamp(&self) -> Timestamp {
        self.timestamp
    }

    fn batch_get(&self, keys: Vec<Vec<u8>>) -> BoxFuture<'_, Result<Vec<Option<Vec<u8>>>>> {
        self.read("batch_get", keys.len(), move |snapshot| keys.iter().map(|key| snapshot.get(key)).collect()).boxed()
    }

    fn scan(
        &self,
        range: KeyRange,
        direction: Direction,
        limit: usize,
        bytes: usize,
    ) -> BoxFuture<'_, Result<Vec<KeyValue>>> {
        self.read("scan", limit, move |snapshot| page(snapshot, &range, direction, limit, bytes)).boxed()
    }

    fn release(self: Box<Self>) -> BoxFuture<'static, Result<()>> {
        // What holds it was closed, or else it was there all the time.
        async { Ok(()) }.boxed()
    }
}

fn page(
    snapshot: &dyn Snapshot,
    range: &KeyRange,
    direction: Direction,
    limit: usize,
    bytes: usize,
) -> StoreResult<Vec<KeyValue>> {
    let (mut page, mut total) = (Vec::new(), 0_usize);
    for entry in snapshot.range(range, direction)?.take(limit) {
        let (key, value) = entry?;
        total = total.saturating_add(key.len() + value.len());
        if total > bytes && !page.is_empty() {
            break;
        }
        page.push((key, value));
    }
    Ok(page)
}
