//! Deletes dead letters.

use tito_core::database::walk_in_steps;
use tito_core::{KeyText, Result, Transaction};

use super::list::DeadLetter;
use crate::error::QueueError;
use crate::keys;
use crate::queue::TitoQueue;

impl TitoQueue {
    /// Deletes the dead letter with this key for good, however many others there are. Returns whether it was there.
    ///
    /// # Errors
    /// [`TitoError::InvalidName`](tito_core::TitoError::InvalidName),
    /// [`QueueError::UnknownTopic`](crate::QueueError::UnknownTopic),
    /// [`QueueError::UnknownGroup`](crate::QueueError::UnknownGroup), and those of the engine.
    pub async fn purge_letter(&self, queue: &str, letter: &KeyText) -> Result<bool, QueueError> {
        self.existing(queue).await?;
        let key = letter.as_bytes();
        if !keys::dead_events(queue).contains(key) {
            return Ok(false);
        }
        let purge = |tx: Transaction| async move {
            let is_there = tx.get(key).await?.is_some();
            if is_there {
                tx.system_keys().delete(key.to_vec()).await?;
            }
            Ok(is_there)
        };
        Ok(self.engine.transaction(purge).await?)
    }

    /// Deletes the dead letters of a queue, `{type}` or `{type}@{group}`, for good, in transactions of at most 200 each,
    /// and returns how many there were.
    ///
    /// # Errors
    /// [`TitoError::InvalidName`](tito_core::TitoError::InvalidName),
    /// [`QueueError::UnknownTopic`](crate::QueueError::UnknownTopic),
    /// [`QueueError::UnknownGroup`](crate::QueueError::UnknownGroup), and those of the engine; what was deleted by then
    /// stays deleted.
    pub async fn purge_dead_letters(&self, queue: &str) -> Result<u64, QueueError> {
        self.purge_dead_letters_where(queue, |_| true).await
    }

    /// Like [`purge_dead_letters`](TitoQueue::purge_dead_letters), but only those that `is_chosen` accepts; some may be
    /// stored bytes that are not an event.
    ///
    /// ```
    /// # use tito_core::prelude::*;
    /// # use tito_worker::prelude::*;
    /// # async fn example(queue: TitoQueue, before: chrono::DateTime<chrono::Utc>) -> Result<(), TitoError> {
    /// let old = |letter: &tito_worker::DeadLetter| letter.given_up_at().is_some_and(|time| time < before);
    /// let purged = queue.purge_dead_letters_where("mail", old).await?;
    /// println!("{purged} failed for good long ago");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Those of [`purge_dead_letters`](TitoQueue::purge_dead_letters).
    pub async fn purge_dead_letters_where(
        &self,
        queue: &str,
        is_chosen: impl Fn(&DeadLetter) -> bool + Send + Sync,
    ) -> Result<u64, QueueError> {
        self.existing(queue).await?;
        let purged = walk_in_steps(&self.engine, keys::dead_events(queue), move |tx: Transaction, page| {
            let letters = page.into_iter().map(DeadLetter::new);
            let chosen: Vec<_> = letters.filter(&is_chosen).map(|letter| letter.key.as_bytes().to_vec()).collect();
            async move {
                let purged = chosen.len() as u64;
                for key in chosen {
                    tx.system_keys().delete(key).await?;
                }
                Ok(purged)
            }
        })
        .await?;
        Ok(purged)
    }
}
