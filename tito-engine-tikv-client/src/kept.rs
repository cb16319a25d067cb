//! Snapshots that are read for as long as somebody holds them. The client can't keep PD from collecting what they see:
//! where garbage is collected past one it reads what is left.

use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use tito_core::engine::{Direction, KeyValue, TitoSnapshot};
use tito_core::keys::KeyRange;
use tito_core::{Result, Timestamp};

use super::Core;
use super::reads::At;
use super::scan::scan;

pub(super) struct KeptSnapshot {
    pub(super) core: Arc<Core>,
    pub(super) timestamp: Timestamp,
}

impl KeptSnapshot {
    fn at(&self) -> Result<At<'_>> {
        self.core.check_open()?;
        Ok(At { core: &self.core, slot: self.core.connections.next_slot(), timestamp: self.timestamp })
    }
}

impl TitoSnapshot for KeptSnapshot {
    fn timestamp(&self) -> Timestamp {
        self.timestamp
    }

    fn batch_get(&self, keys: Vec<Vec<u8>>) -> BoxFuture<'_, Result<Vec<Option<Vec<u8>>>>> {
        async move {
            let found = self.at()?.batch_get(keys.iter().cloned().collect()).await?;
            Ok(keys.iter().map(|key| found.get(key).cloned()).collect())
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
            let mut page = scan(self.at()?, range, direction, limit).await?;
            let mut total = 0_usize;
            let within = page.iter().take_while(|(key, value)| {
                total = total.saturating_add(key.len() + value.len());
                total <= bytes
            });
            let kept = within.count().max(1);
            page.truncate(kept);
            Ok(page)
        }
        .boxed()
    }

    fn release(self: Box<Self>) -> BoxFuture<'static, Result<()>> {
        async { Ok(()) }.boxed()
    }
}
