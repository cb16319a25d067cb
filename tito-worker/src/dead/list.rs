//! Finds dead letters.

use chrono::{DateTime, Utc};
use serde::ser::{Serialize, SerializeStruct, Serializer};
use tito_core::KeyText;
use tito_core::database::Walk;
use tito_core::engine::KeyValue;
use tito_core::event::TitoEvent;
use tito_core::keys::KeyRange;

use crate::error::QueueError;
use crate::inspect::shown_bytes;
use crate::keys;
use crate::queue::TitoQueue;
use crate::time::time_of;

/// An event that failed for good.
#[derive(Clone, Debug)]
pub struct DeadLetter {
    /// Where it is stored; pass it to [`TitoQueue::dead_letters`] to go on after it, or to
    /// [`TitoQueue::redrive_letter`] and [`TitoQueue::purge_letter`].
    pub key: KeyText,
    /// The event, with the failures that led here; `None` if the stored bytes are not an event.
    pub event: Option<TitoEvent>,
    /// The stored bytes.
    pub bytes: Vec<u8>,
}

impl DeadLetter {
    pub(super) fn new((key, bytes): KeyValue) -> Self {
        Self { event: TitoEvent::decode(&key, &bytes).ok(), key: KeyText::from(key), bytes }
    }

    /// When it failed for good; `None` for a key that no worker writes.
    pub fn given_up_at(&self) -> Option<DateTime<Utc>> {
        keys::parse_event_second(self.key.as_bytes()).map(time_of)
    }
}

/// The stored bytes are shown where they are no event.
impl Serialize for DeadLetter {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let is_event = self.event.is_some();
        let mut shown = serializer.serialize_struct("DeadLetter", if is_event { 3 } else { 4 })?;
        shown.serialize_field("key", &shown_bytes(self.key.as_bytes()))?;
        shown.serialize_field("given_up_at", &self.given_up_at().map(|time| time.timestamp()))?;
        shown.serialize_field("event", &self.event)?;
        if is_event {
            shown.skip_field("bytes")?
        } else {
            shown.serialize_field("bytes", &shown_bytes(&self.bytes))?
        }
        shown.end()
    }
}

impl TitoQueue {
    /// Up to `limit` dead letters of a queue, `{type}` or `{type}@{group}`, by partition and then by the second at which
    /// they failed for good, after the one with the key `after`.
    ///
    /// # Errors
    /// [`TitoError::InvalidName`](tito_core::TitoError::InvalidName),
    /// [`QueueError::UnknownTopic`](crate::QueueError::UnknownTopic),
    /// [`QueueError::UnknownGroup`](crate::QueueError::UnknownGroup), and those of the engine.
    pub async fn dead_letters(
        &self,
        queue: &str,
        limit: usize,
        after: Option<&KeyText>,
    ) -> Result<Vec<DeadLetter>, QueueError> {
        self.existing(queue).await?;
        Ok(self.page_of_dead_letters(rest_of(keys::dead_events(queue), after), limit).await?)
    }

    /// One dead letter of a queue, by its key; `None` where there is none.
    ///
    /// # Errors
    /// Those of [`dead_letters`](TitoQueue::dead_letters).
    pub async fn letter(&self, queue: &str, letter: &KeyText) -> Result<Option<DeadLetter>, QueueError> {
        self.existing(queue).await?;
        let key = letter.as_bytes();
        if !keys::dead_events(queue).contains(key) {
            return Ok(None);
        }
        let found = self.engine.transaction(|tx| async move { tx.get(key).await }).await?;
        Ok(found.map(|value| DeadLetter::new((key.to_vec(), value))))
    }

    /// Like [`dead_letters`](TitoQueue::dead_letters), of one partition.
    ///
    /// # Errors
    /// Those of [`dead_letters`](TitoQueue::dead_letters).
    pub async fn dead_letters_of_partition(
        &self,
        queue: &str,
        partition: u16,
        limit: usize,
        after: Option<&KeyText>,
    ) -> Result<Vec<DeadLetter>, QueueError> {
        self.existing(queue).await?;
        if partition >= keys::MAX_PARTITIONS {
            return Ok(Vec::new());
        }
        Ok(self.page_of_dead_letters(rest_of(keys::dead_events_of_partition(queue, partition), after), limit).await?)
    }

    /// Like [`dead_letters`](TitoQueue::dead_letters), but only those that `is_wanted` accepts. Reads on, in steps of
    /// 200, until it has found `limit` of them or there are no more.
    ///
    /// # Errors
    /// Those of [`dead_letters`](TitoQueue::dead_letters).
    pub async fn dead_letters_where(
        &self,
        queue: &str,
        limit: usize,
        after: Option<&KeyText>,
        is_wanted: impl Fn(&DeadLetter) -> bool + Send + Sync,
    ) -> Result<Vec<DeadLetter>, QueueError> {
        self.existing(queue).await?;
        let mut walk = Walk::over(rest_of(keys::dead_events(queue), after));
        let mut found = Vec::new();
        while found.len() < limit {
            let Some((page, _)) = walk.next(&self.engine).await? else { break };
            found.extend(page.into_iter().map(DeadLetter::new).filter(|letter| is_wanted(letter)));
        }
        found.truncate(limit);
        Ok(found)
    }

    async fn page_of_dead_letters(&self, range: KeyRange, limit: usize) -> tito_core::Result<Vec<DeadLetter>> {
        let found = self.engine.transaction(|tx| async move { tx.scan(range, limit).await }).await?;
        Ok(found.into_iter().map(DeadLetter::new).collect())
    }
}

fn rest_of(range: KeyRange, after: Option<&KeyText>) -> KeyRange {
    match after {
        None => range,
        Some(key) => range.after(key.as_bytes()),
    }
}
