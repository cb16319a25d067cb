//! Tells a worker to leave.

use tito_core::Transaction;
use tito_core::row::{StoredRow, UnknownMembers};
use uuid::Uuid;

use super::Living;
use super::row::{RetirementRow, WorkerRow};
use crate::error::QueueError;
use crate::keys;
use crate::queue::TitoQueue;

impl TitoQueue {
    /// Tells a worker to leave, whichever process it is in: it hands out nothing more, its running handlers get its
    /// shutdown timeout to end, and [`Worker::run`](crate::Worker::run) returns a report that says
    /// [`retired`](crate::WorkerReport::retired). In this process it learns of it at once, in another one within 10 s.
    /// It can't be called back. Whatever started the worker may start another one.
    ///
    /// ```
    /// # use tito_core::prelude::*;
    /// # use tito_worker::TitoQueue;
    /// # async fn example(queue: TitoQueue) -> Result<(), Box<dyn std::error::Error>> {
    /// for worker in queue.workers().await? {
    ///     if worker.live && worker.version.as_deref() == Some("1.4.0") {
    ///         queue.retire(worker.id).await?;
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`QueueError::UnknownWorker`] if the worker no longer exists, and those of the engine.
    pub async fn retire(&self, worker: Uuid) -> Result<(), QueueError> {
        let here = Living::of(&self.engine).locked().get(&worker).cloned();
        if let Some(registration) = here {
            tracing::info!(%worker, "the worker was told to leave");
            registration.retire();
            return Ok(());
        }
        let asking = |tx: Transaction| async move {
            let key = keys::registered_worker(worker);
            let row = tx.get(&key).await?;
            let row = row.map(|row| WorkerRow::decode(&key, &row)).transpose()?;
            let now = tx.now().millis();
            if !row.is_some_and(|row| row.is_live(now)) {
                return Ok(false);
            }
            let row = RetirementRow { asked: now, unknown: UnknownMembers::default() };
            tx.system_keys().put(keys::retirement(worker), row.encode()?).await?;
            Ok(true)
        };
        if self.engine.transaction(asking).await? {
            tracing::info!(%worker, "a worker of another process is told to leave");
            return Ok(());
        }
        Err(QueueError::UnknownWorker { worker })
    }
}
