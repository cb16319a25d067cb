//! Deletes what is pending.

use tito_core::Result;
use tito_core::event::{TitoEvent, Topic, check_queue_name, topic_of};
use tito_core::keys;

use crate::change::holds_up_until;
use crate::pages::PAGE;
use crate::queue::TitoQueue;

impl TitoQueue {
    /// Deletes everything in a queue that has not been done, for good, and returns how much it was. Other queues of the
    /// topic, dead letters and history stay. What is being handled is treated as by [`cancel`](TitoQueue::cancel).
    ///
    /// Works in transactions of at most 200 events; what is published meanwhile may stay.
    ///
    /// # Errors
    /// [`TitoError::InvalidName`](tito_core::TitoError::InvalidName), and those of the engine; what was deleted by then
    /// stays deleted.
    pub async fn purge(&self, queue: &str) -> Result<u64> {
        self.purge_entries(queue, |_, _| true).await
    }

    /// As [`purge`](TitoQueue::purge), of the events that `chosen` says yes to. Stored bytes that are no events stay.
    ///
    /// # Errors
    /// As [`purge`](TitoQueue::purge).
    pub async fn purge_where(&self, queue: &str, chosen: impl Fn(&TitoEvent) -> bool + Send + Sync) -> Result<u64> {
        self.purge_entries(queue, |key, bytes| TitoEvent::decode(key, bytes).is_ok_and(|event| chosen(&event))).await
    }

    async fn purge_entries(&self, queue: &str, chosen: impl Fn(&[u8], &[u8]) -> bool + Send + Sync) -> Result<u64> {
        check_queue_name(queue)?;
        let chosen = &chosen;
        let (mut rest, mut purged) = (Some(keys::events_of_queue(queue)), 0);
        while let Some(range) = rest {
            let step = self.engine.transaction(|tx| async move {
                let page = tx.scan(range.clone(), PAGE).await?;
                let rest = page.last().filter(|_| page.len() == PAGE).map(|(last, _)| range.after(last));
                let (mut purged, mut is_waited_for) = (0, false);
                for (key, value) in page.into_iter().filter(|(key, value)| chosen(key, value)) {
                    is_waited_for |= holds_up_until(&key, &value).is_some();
                    tx.delete(key).await?;
                    purged += 1;
                }
                if is_waited_for {
                    Topic::raise_revision(&tx, topic_of(queue).0).await?;
                }
                Ok((rest, purged))
            });
            let step = step.await?;
            rest = step.0;
            purged += step.1;
        }
        Ok(purged)
    }
}
