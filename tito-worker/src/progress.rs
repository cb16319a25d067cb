//! Progress that a long handler records for its next attempt.

use serde::Serialize;
use tito_core::event::{TitoEvent, check_event_size, due_second};
use tito_core::{Result, row};

use crate::queue::TitoQueue;
use crate::same_attempt::is_same_attempt;

impl TitoQueue {
    /// Records how far the handler of an event has got, in its own transaction. The next attempt reads it with
    /// [`TitoEvent::progress`], whether the last one failed, timed out or died with its worker. It replaces what was
    /// recorded before.
    ///
    /// Returns false if the event is no longer stored as the handler got it: it was cancelled or rescheduled, or an
    /// outcome was recorded, by another worker or because the handler took too long. The handler should stop then.
    ///
    /// Not for transactional handlers: their transaction would conflict with this one and run again. They commit their
    /// progress by ending.
    ///
    /// ```
    /// # use tito_core::prelude::*;
    /// # use tito_worker::prelude::*;
    /// # async fn import(page: u32) -> Result<bool, TitoError> { Ok(page < 10) }
    /// # async fn example(queue: TitoQueue, event: TitoEvent) -> Result<(), TitoError> {
    /// let mut page = event.progress::<u32>()?.unwrap_or(0);
    /// while import(page).await? {
    ///     page += 1;
    ///     if !queue.record_progress(&event, &page).await? {
    ///         break;
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`TitoError::Unserializable`](tito_core::TitoError::Unserializable), as [`Publish::payload`](crate::Publish::payload);
    /// [`TitoError::LimitExceeded`](tito_core::TitoError::LimitExceeded) if the event would leave no room for the failures that
    /// a worker notes in it; [`TitoError::Malformed`](tito_core::TitoError::Malformed); those of the engine.
    pub async fn record_progress(&self, event: &TitoEvent, progress: &impl Serialize) -> Result<bool> {
        let progress = row::raw_for_any_reader(format_args!("the progress of event {}", event.id), progress)?;
        let (database, key) = (&self.engine, &event.key);
        database
            .transaction(|tx| async move {
                let Some(stored) = tx.get(key).await? else { return Ok(false) };
                let due = due_second(key, &stored);
                let stored = TitoEvent::decode(key, &stored)?;
                // An event that is postponed or goes on with its next step can keep its key.
                if !is_same_attempt(event, &stored) {
                    return Ok(false);
                }
                let stored = TitoEvent { progress: Some(progress), ..stored };
                let value = stored.encode()?;
                check_event_size(database.limits(), key, value.len())?;
                tx.system_keys().put_pending(key.clone(), value, due, Some(due)).await?;
                Ok(true)
            })
            .await
    }
}
