//! Deletes what is pending.

use tito_core::database::walk_in_steps;
use tito_core::event::{TitoEvent, Topic, delete_pending, topic_of};
use tito_core::{Result, Transaction};

use crate::error::QueueError;
use crate::keys;
use crate::locate::blocks_until;
use crate::queue::TitoQueue;

impl TitoQueue {
    /// Deletes every unfinished event of a queue for good, and returns how many there were. Other queues of the topic,
    /// dead letters and history stay. Events being handled are treated as by [`cancel`](TitoQueue::cancel).
    ///
    /// Works in transactions of at most 200 events; what is published meanwhile may stay.
    ///
    /// # Errors
    /// [`TitoError::InvalidName`](tito_core::TitoError::InvalidName),
    /// [`QueueError::UnknownTopic`](crate::QueueError::UnknownTopic),
    /// [`QueueError::UnknownGroup`](crate::QueueError::UnknownGroup), and those of the engine; what was deleted by then
    /// stays deleted.
    pub async fn purge(&self, queue: &str) -> Result<u64, QueueError> {
        self.purge_entries(queue, |_, _| true).await
    }

    /// Like [`purge`](TitoQueue::purge), but only the events that `chosen` accepts. Stored bytes that are not an event
    /// stay.
    ///
    /// # Errors
    /// Those of [`purge`](TitoQueue::purge).
    pub async fn purge_where(
        &self,
        queue: &str,
        chosen: impl Fn(&TitoEvent) -> bool + Send + Sync,
    ) -> Result<u64, QueueError> {
        self.purge_entries(queue, |key, bytes| TitoEvent::decode(key, bytes).is_ok_and(|event| chosen(&event))).await
    }

    async fn purge_entries(
        &self,
        queue: &str,
        chosen: impl Fn(&[u8], &[u8]) -> bool + Send + Sync,
    ) -> Result<u64, QueueError> {
        self.existing(queue).await?;
        let purged = walk_in_steps(&self.engine, keys::events_of_queue(queue), move |tx: Transaction, mut page| {
            page.retain(|(key, row)| chosen(key, row));
            async move {
                if page.iter().any(|(key, row)| blocks_until(key, row).is_some()) {
                    Topic::raise_revision(&tx, topic_of(queue).0).await?;
                }
                let purged = page.len() as u64;
                for (key, value) in page {
                    delete_pending(&tx, key, &value).await?;
                }
                Ok(purged)
            }
        })
        .await?;
        Ok(purged)
    }
}
