//! Snapshots that are kept for as long as somebody holds them.

use std::ops::ControlFlow;
use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;

use super::Core;
use super::head::{SnapshotSlot, lock};
use super::store::{Snapshot, StoreResult};
use super::transaction::{closed, get_all, read};
use crate::engine::{Direction, KeyValue, PackedRows, TitoSnapshot};
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
        read(&self.core, self.snapshot()?, operation, keys, f).await
    }

    fn snapshot(&self) -> Result<Arc<dyn Snapshot>> {
        lock(&self.slot).clone().ok_or_else(|| closed(&self.core))
    }
}

impl TitoSnapshot for KeptSnapshot {
    fn timestamp(&self) -> Timestamp {
        self.timestamp
    }

    fn batch_get(&self, keys: Vec<Vec<u8>>) -> BoxFuture<'_, Result<Vec<Option<Vec<u8>>>>> {
        async move { get_all(&self.core, self.snapshot()?, keys).await }.boxed()
    }

    fn scan(
        &self,
        range: KeyRange,
        direction: Direction,
        limit: usize,
        bytes: usize,
    ) -> BoxFuture<'_, Result<Vec<KeyValue>>> {
        self.read("scan", limit, move |snapshot| {
            let mut rows = Vec::new();
            let keep = |key: &[u8], value: &[u8]| rows.push((key.to_vec(), value.to_vec()));
            visit_page(snapshot, &range, direction, limit, bytes, keep)?;
            Ok(rows)
        })
        .boxed()
    }

    fn scan_packed(&self, range: KeyRange, limit: usize, bytes: usize) -> BoxFuture<'_, Result<PackedRows>> {
        self.read("scan", limit, move |snapshot| {
            let mut rows = PackedRows::with_capacity(bytes.min(MOST_RESERVED) * 9 / 8);
            visit_page(snapshot, &range, Direction::Ascending, limit, bytes, |key, value| rows.push(key, value))?;
            Ok(rows)
        })
        .boxed()
    }

    fn release(self: Box<Self>) -> BoxFuture<'static, Result<()>> {
        // What holds it was closed, or else it was there all the time.
        async { Ok(()) }.boxed()
    }
}

/// How much room is made before anything is read.
const MOST_RESERVED: usize = 1 << 20;

/// Calls `keep` with the first entries of a range that fit a page.
fn visit_page(
    snapshot: &dyn Snapshot,
    range: &KeyRange,
    direction: Direction,
    limit: usize,
    bytes: usize,
    mut keep: impl FnMut(&[u8], &[u8]),
) -> StoreResult<()> {
    let (mut rows, mut total) = (0, 0_usize);
    snapshot.visit(range, direction, &mut |key, value| {
        total = total.saturating_add(key.len() + value.len());
        if total > bytes && rows > 0 {
            return ControlFlow::Break(());
        }
        keep(key, value);
        rows += 1;
        if rows < limit { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })
}
