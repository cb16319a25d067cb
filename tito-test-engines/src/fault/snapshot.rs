//! The snapshot that faults are injected into.

use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use tito_core::clock::Clock;
use tito_core::engine::{Direction, KeyValue, PackedRows, TitoSnapshot};
use tito_core::keys::KeyRange;
use tito_core::{Result, Timestamp};

use super::Call;
use super::failure::around;
use super::rules::{Faults, Keys};

/// A snapshot of a [`FaultEngine`].
pub(super) struct FaultSnapshot {
    pub(super) inner: Box<dyn TitoSnapshot>,
    pub(super) faults: Faults,
    pub(super) clock: Arc<dyn Clock>,
}

impl TitoSnapshot for FaultSnapshot {
    fn timestamp(&self) -> Timestamp {
        self.inner.timestamp()
    }

    fn batch_get(&self, keys: Vec<Vec<u8>>) -> BoxFuture<'_, Result<Vec<Option<Vec<u8>>>>> {
        async move {
            let fault = self.faults.meet(Call::BatchGet, Keys::Many(&keys), &self.clock).await;
            let values = around(fault, Call::BatchGet, self.inner.batch_get(keys)).await?;
            self.faults.note_rows(values.iter().flatten().count());
            Ok(values)
        }
        .boxed()
    }

    fn scan(
        &self,
        range: KeyRange,
        direction: Direction,
        limit: usize,
        bytes: usize,
    ) -> BoxFuture<'_, Result<Vec<KeyValue>>> {
        async move {
            let fault = self.faults.meet(Call::Scan, Keys::Range(&range), &self.clock).await;
            let page = around(fault, Call::Scan, self.inner.scan(range.clone(), direction, limit, bytes)).await?;
            self.faults.note_rows(page.len());
            Ok(page)
        }
        .boxed()
    }

    fn scan_packed(&self, range: KeyRange, limit: usize, bytes: usize) -> BoxFuture<'_, Result<PackedRows>> {
        async move {
            let fault = self.faults.meet(Call::Scan, Keys::Range(&range), &self.clock).await;
            let page = around(fault, Call::Scan, self.inner.scan_packed(range.clone(), limit, bytes)).await?;
            self.faults.note_rows(page.len());
            Ok(page)
        }
        .boxed()
    }

    fn release(self: Box<Self>) -> BoxFuture<'static, Result<()>> {
        self.inner.release()
    }
}
