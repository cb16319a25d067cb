//! How the input of a subscription is read.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::{Notify, Semaphore, SemaphorePermit};

use super::quiet::Quiet;

/// How many partitions and topics a worker reads at once: one with thousands of them would swamp a clustered engine, so
/// that no answer came in time.
pub(super) const READS_AT_ONCE: usize = 128;

pub(super) struct Source {
    /// How many partitions the topic gets if it does not exist; if `None`, the worker waits for the topic.
    pub(super) new_topic_partitions: Option<u16>,
    reads: Arc<Semaphore>,
    /// Notified when somebody finds that the topic is not what this worker takes it for.
    pub(super) outdated: Notify,
    /// Of the topic as last read.
    revision: AtomicU64,
    /// Partitions of this worker that it checks together with others.
    pub(super) quiet: Quiet,
}

/// There is no topic yet.
const NO_REVISION: u64 = u64::MAX;

impl Source {
    pub(super) fn new(new_topic_partitions: Option<u16>, reads: Arc<Semaphore>) -> Self {
        let revision = AtomicU64::new(NO_REVISION);
        Self { new_topic_partitions, reads, outdated: Notify::new(), revision, quiet: Quiet::default() }
    }

    /// Records the revision of the topic as read.
    pub(super) fn note_revision(&self, revision: u64) {
        self.revision.store(revision, Ordering::Relaxed);
    }

    /// Whether the topic was read at this revision or a later one.
    pub(super) fn is_known(&self, revision: u64) -> bool {
        let known = self.revision.load(Ordering::Relaxed);
        known != NO_REVISION && known >= revision
    }

    /// Waits for a turn to read a partition or the topic.
    pub(super) async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        // It fails only if the semaphore is closed, which never happens.
        self.reads.acquire().await.ok()
    }
}
