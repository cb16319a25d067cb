//! How what a subscription handles is read.

use std::sync::Arc;

use tokio::sync::{Notify, Semaphore, SemaphorePermit};

/// How many partitions and topics a worker reads at once: one of thousands of them would swamp an engine that is a
/// cluster, so that no answer came in time.
pub(super) const READS_AT_ONCE: usize = 128;

pub(super) struct Source {
    /// How many partitions the topic gets if there is none; it is waited for otherwise.
    pub(super) new_topic_partitions: Option<u16>,
    reads: Arc<Semaphore>,
    /// Told when a transaction has found that the topic is not what this worker takes it for.
    pub(super) outdated: Notify,
}

impl Source {
    pub(super) fn new(new_topic_partitions: Option<u16>, reads: Arc<Semaphore>) -> Self {
        Self { new_topic_partitions, reads, outdated: Notify::new() }
    }

    /// Waits for a turn to read a partition or the topic.
    pub(super) async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        // Fails only when the semaphore is closed, which nobody does.
        self.reads.acquire().await.ok()
    }
}
