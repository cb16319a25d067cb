//! Deletes dead letters.

use tito_core::event::check_queue_name;
use tito_core::{Result, TitoEngine, TitoTransaction, keys};

use crate::batches::in_batches;
use crate::queue::TitoQueue;

impl<E: TitoEngine> TitoQueue<E> {
    /// Deletes the dead letters of a queue, `{type}` or `{type}@{group}`, for good, in transactions of at most 200 each,
    /// and returns how many there were.
    ///
    /// # Errors
    /// [`TitoError::InvalidName`](tito_core::TitoError::InvalidName), and those of the engine; what was deleted by then
    /// stays deleted.
    pub async fn purge_dead_letters(&self, queue: &str) -> Result<u64> {
        check_queue_name(queue)?;
        in_batches(&self.engine, keys::dead_events(queue), |tx: E::Transaction, page| async move {
            let purged = page.len() as u64;
            for (key, _) in page {
                tx.delete(key).await?;
            }
            Ok(purged)
        })
        .await
    }
}
