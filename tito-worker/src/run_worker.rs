//! A worker in one call.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use futures::future::BoxFuture;
use tito_core::TitoError;
use tito_core::event::TitoEvent;
use tokio::sync::broadcast;

use crate::partitions::PartitionConfig;
use crate::queue::TitoQueue;
use crate::worker::{Worker, WorkerReport};

/// Handles the events of one topic until a message comes on `shutdown` (or its sender is gone), and returns what it
/// did. If it ends earlier, the reason is logged; [`Worker::run`] returns it instead.
///
/// Works only while `is_leader` is true. Handlers get 10 attempts of 60 s each; [`Worker::builder`] can change this and
/// more.
pub async fn run_worker<F>(
    queue: Arc<TitoQueue>,
    topic: String,
    handler: F,
    partitions: PartitionConfig,
    is_leader: Arc<AtomicBool>,
    mut shutdown: broadcast::Receiver<()>,
) -> WorkerReport
where
    F: Fn(TitoEvent) -> BoxFuture<'static, Result<(), TitoError>> + Send + Sync + 'static,
{
    let ran = Worker::builder(TitoQueue::clone(&queue))
        .partitions(partitions)
        .active_while(is_leader)
        .subscribe(topic, handler)
        .build()
        .run(async move {
            // Lagging behind means that a message came as well.
            let _ = shutdown.recv().await;
        })
        .await;
    ran.unwrap_or_else(|ended| ended.report)
}
