//! What the committer is asked for.

use std::sync::Arc;

use tokio::sync::oneshot;

use crate::embedded::hash::KeyHash;
use crate::embedded::store::StoreSizes;
use crate::embedded::transaction::Inner;
use crate::engine::{Mutation, Signals};
use crate::error::Result;
use crate::timestamp::Timestamp;

/// How many requests can wait.
pub(in crate::embedded) const QUEUE: usize = 4_096;

#[allow(clippy::large_enum_variant, reason = "nearly every request is a commit")]
pub(in crate::embedded) enum Request {
    Commit(CommitRequest),
    /// Reserve more timestamps.
    Reserve(oneshot::Sender<Result<()>>),
    /// A flush has ended.
    Maintain,
    Sizes(oneshot::Sender<Result<StoreSizes>>),
    /// Release the storage.
    Close(oneshot::Sender<()>),
}

/// A transaction to be committed.
pub(in crate::embedded) struct CommitRequest {
    /// Held until the commit is answered, whatever becomes of the caller: until then the transaction counts as live, as
    /// its commit can still land.
    pub(in crate::embedded) transaction: Arc<Inner>,
    /// The hashes are computed in the caller's task, so that the committer need not.
    pub(in crate::embedded) writes: Vec<(KeyHash, Vec<u8>, Mutation)>,
    pub(in crate::embedded) locks: Vec<(KeyHash, Vec<u8>)>,
    pub(in crate::embedded) bytes: usize,
    pub(in crate::embedded) signals: Signals,
    pub(in crate::embedded) reply: oneshot::Sender<Result<Timestamp>>,
}

impl CommitRequest {
    pub(super) fn keys(&self) -> impl Iterator<Item = (KeyHash, &[u8])> {
        let written = self.writes.iter().map(|(hash, key, _)| (*hash, key.as_slice()));
        written.chain(self.locks.iter().map(|(hash, key)| (*hash, key.as_slice())))
    }
}
