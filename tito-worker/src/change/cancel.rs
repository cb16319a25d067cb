//! Cancelling.

use tito_core::event::{EventReference, Topic, delete_pending};
use tito_core::{Result, Transaction};

use crate::keys;
use crate::locate::locate;
use crate::queue::TitoQueue;
use crate::topics::cached_topic;
use crate::unique::UniqueRow;

impl TitoQueue {
    /// Deletes an event that has not been done from its topic's own queue and from every group's. Returns whether it
    /// was still in one of them. Dead letters are not touched, and the key of a unique event stays taken: see
    /// [`cancel_unique`](TitoQueue::cancel_unique).
    ///
    /// Cancelling and acknowledging conflict, so an event is never both cancelled and done. A transactional handler
    /// that is running finds the event gone when it commits, and nothing that it wrote takes effect. A plain handler
    /// that has begun, or whose worker has already read the event, runs to its end; only its outcome is not recorded.
    ///
    /// Events that waited for it in a strict subscription go on within about a second.
    ///
    /// Costs one read if the event is where it was published, and a few if it was moved or is done. Only an event that
    /// was published before its topic was first served by a release that records moves is searched for: its partition
    /// is read from its second on, page by page, within the transaction.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use tito_core::prelude::*;
    /// # use tito_worker::prelude::*;
    /// # async fn example(queue: TitoQueue, tx: tito_core::Transaction) -> Result<(), TitoError> {
    /// let reminder = Publish::new("reminder", "user:17").delay(Duration::from_secs(3600));
    /// let reminder = queue.publish(reminder, &tx).await?;
    /// // Later, in another transaction, from wherever the reference was kept:
    /// let was_pending = queue.cancel(&reminder, &tx).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`QueueError::UnknownTopic`](crate::QueueError::UnknownTopic), carried as a [`TitoError::Application`](tito_core::TitoError::Application), and those of the engine.
    pub async fn cancel(&self, event: &EventReference, tx: &Transaction) -> Result<bool> {
        let located = locate(&self.engine, tx, event).await?;
        let call = tx.nested();
        for found in &located {
            delete_pending(&call, found.key.clone(), &found.value).await?;
        }
        if located.iter().any(|found| found.blocks_until().is_some()) {
            Topic::raise_revision(&call, &event.event_type).await?;
        }
        call.merge()?;
        Ok(!located.is_empty())
    }

    /// Like [`cancel`](TitoQueue::cancel), by the key with which a unique event was published. The key is free again.
    /// False if there is no such event, its window has ended, or it is done.
    ///
    /// # Errors
    /// Those of [`cancel`](TitoQueue::cancel); [`TitoError::Malformed`](tito_core::TitoError::Malformed).
    pub async fn cancel_unique(&self, topic: &str, unique_key: &str, tx: &Transaction) -> Result<bool> {
        cached_topic(&self.engine, topic).await?;
        let Some(row) = UniqueRow::read(tx, topic, unique_key).await? else { return Ok(false) };
        let call = tx.nested();
        let is_cancelled = self.cancel(row.event(), &call).await?;
        if is_cancelled {
            call.system_keys().delete(keys::unique_event(topic, unique_key)).await?;
        }
        call.merge()?;
        Ok(is_cancelled)
    }
}
