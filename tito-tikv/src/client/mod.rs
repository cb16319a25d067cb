//! The client: what users hold, and the shell that sends what the protocol wants sent.
mod commit;
pub(crate) mod core;
mod driver;
mod guards;
mod keyspace;
mod locks;
mod maintenance;
mod outcomes;
mod regions;
mod row_sizes;
mod scan;
mod settings;
mod snapshot;
mod tasks;
mod transaction;

use std::sync::Arc;

use tokio::time::Instant;

use crate::{Error, Result, Timestamp};
use core::{Core, Deadline};

pub use guards::{Guarded, Guards};
pub use regions::RegionInfo;
pub use settings::Builder;
pub use snapshot::{KeyValue, Snapshot};
pub use transaction::Transaction;

/// A client of a TiKV cluster. Clones are handles of the same client.
///
/// Dropping the last handle stops nothing that has begun: commits under way still clear their locks.
/// [`close`](Self::close) waits for that.
#[derive(Clone)]
pub struct Client {
    core: Arc<Core>,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("cluster", &self.core.pd.cluster_id()).finish_non_exhaustive()
    }
}

impl Client {
    /// The settings of a client of the cluster whose PD has members at these addresses (`host:port`); some of them are
    /// enough.
    pub fn builder<A: Into<String>>(addresses: impl IntoIterator<Item = A>) -> Builder {
        Builder::new(addresses.into_iter().map(Into::into).collect())
    }

    /// Begins a transaction. This takes one timestamp from PD; callers that ask at the same time share a request.
    ///
    /// # Errors
    ///
    /// [`Error::Pd`] or [`Error::Deadline`] if PD gives none, [`Error::Closed`].
    pub async fn begin(&self) -> Result<Transaction> {
        let begun = Instant::now();
        let start = self.timestamp().await?;
        Ok(Transaction::new(self.core.clone(), start, begun))
    }

    /// Pessimistic locks on their own, with no key locked yet. This takes one timestamp from PD.
    ///
    /// # Errors
    ///
    /// Those of [`begin`](Self::begin).
    pub async fn guards(&self) -> Result<Guards> {
        let begun = Instant::now();
        let start = self.timestamp().await?;
        Ok(Guards::new(self.core.clone(), start, begun))
    }

    /// What was committed up to a timestamp. Sends no request.
    ///
    /// Reads at a timestamp that PD has not given out yet are not repeatable; reads at one before the cluster's garbage
    /// collection safe point find less than there was.
    pub fn snapshot(&self, at: Timestamp) -> Snapshot {
        Snapshot::new(self.core.clone(), at)
    }

    /// A timestamp above all that the cluster has given out before.
    ///
    /// # Errors
    ///
    /// Those of [`begin`](Self::begin).
    pub async fn timestamp(&self) -> Result<Timestamp> {
        if self.core.tasks.is_closed() {
            return Err(Error::Closed);
        }
        let deadline = Deadline::after("timestamp", self.core.settings.call_deadline);
        deadline.bound(self.core.timestamp(deadline)).await
    }

    #[cfg(test)]
    pub(crate) fn core(&self) -> Arc<Core> {
        self.core.clone()
    }

    /// The number by which PD tells clusters apart.
    pub fn cluster_id(&self) -> u64 {
        self.core.pd.cluster_id()
    }

    /// Waits until background work has ended, for at most the time of a call. Transactions that are not committed yet
    /// can't commit after that.
    pub async fn close(&self) {
        self.core.tasks.close(self.core.settings.call_deadline).await;
    }
}
