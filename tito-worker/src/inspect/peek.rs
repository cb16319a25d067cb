//! The events that have not been done.

use chrono::{DateTime, Utc};
use serde::Serialize;
use tito_core::event::TitoEvent;
use tito_core::{KeyText, Result, Transaction};

use super::shown::{serialize_bytes, serialize_key};
use super::state::{PendingState, later_version, read_event};
use crate::error::QueueError;
use crate::keys;
use crate::queue::TitoQueue;
use crate::registration::known_version;
use crate::time::time_of;

/// An event that has not been done.
#[derive(Clone, Debug, Serialize)]
pub struct PendingEvent {
    /// Where it is stored; pass it to [`TitoQueue::peek`] to go on after it.
    #[serde(serialize_with = "serialize_key")]
    pub key: KeyText,
    /// What it waits for.
    pub state: PendingState,
    /// The earliest time at which it is handed out, to the second. Written as Unix seconds by serde.
    #[serde(serialize_with = "chrono::serde::ts_seconds::serialize")]
    pub due: DateTime<Utc>,
    /// The event; `None` if the stored bytes are none.
    pub event: Option<TitoEvent>,
    /// The version of its payload, where it is later than all that the live workers know who serve the queue: it waits
    /// for one of a later release.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub later_version: Option<u32>,
    /// The stored bytes, where they are no event.
    #[serde(serialize_with = "serialize_bytes", skip_serializing_if = "Option::is_none")]
    pub bytes: Option<Vec<u8>>,
}

impl TitoQueue {
    /// Up to `limit` events of a queue that have not been done, by partition and then as they fall due, after the one
    /// with the key `after`, at one snapshot. They include those being handled.
    ///
    /// Where an event has a payload of a version after the first, the rows of [workers](TitoQueue::workers) are read too.
    ///
    /// # Errors
    /// [`TitoError::InvalidName`](tito_core::TitoError::InvalidName),
    /// [`QueueError::UnknownTopic`](crate::QueueError::UnknownTopic),
    /// [`QueueError::UnknownGroup`](crate::QueueError::UnknownGroup), and those of the engine.
    pub async fn peek(
        &self,
        queue: &str,
        limit: usize,
        after: Option<&KeyText>,
    ) -> Result<Vec<PendingEvent>, QueueError> {
        self.existing(queue).await?;
        let all = keys::events_of_queue(queue);
        let range = after.map_or(all.clone(), |key| all.after(key.as_bytes()));
        let read = |tx: Transaction| async move { Ok((tx.scan(range, limit).await?, tx.now().seconds())) };
        let (found, now) = self.engine.transaction(read).await?;
        let mut found: Vec<_> = found.into_iter().map(|(key, bytes)| pending(key, bytes, now)).collect();
        self.note_later_versions(queue, &mut found).await?;
        Ok(found)
    }

    async fn note_later_versions(&self, queue: &str, found: &mut [PendingEvent]) -> Result<(), QueueError> {
        let later = |one: &PendingEvent, known| Some(later_version(one.event.as_ref()?, known)?.0);
        if found.iter().all(|one| later(one, Some(1)).is_none()) {
            return Ok(());
        }
        let workers = self.serving(queue).await?;
        let known = known_version(&workers, queue);
        found.iter_mut().for_each(|one| one.later_version = later(one, known));
        Ok(())
    }
}

fn pending(key: Vec<u8>, bytes: Vec<u8>, now: i64) -> PendingEvent {
    let event = read_event(&key, &bytes);
    let (state, due) = PendingState::of(&key, event.as_ref(), now);
    let bytes = event.is_none().then_some(bytes);
    PendingEvent { key: KeyText::from(key), state, due: time_of(due), event, later_version: None, bytes }
}
