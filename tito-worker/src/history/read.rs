//! Reads what was done.

use std::ops::Range;

use chrono::{DateTime, Utc};
use serde::Serialize;
use tito_core::database::PageSize;
use tito_core::event::TitoEvent;
use tito_core::{KeyText, Result};

use super::walk::PastWalk;
use crate::error::QueueError;
use crate::inspect::{read_event, serialize_bytes, serialize_key};
use crate::keys;
use crate::place::Kind;
use crate::queue::TitoQueue;
use crate::time::time_of;

/// An event that was done.
#[derive(Clone, Debug, Serialize)]
pub struct DoneEvent {
    /// Where it is stored; pass it to [`TitoQueue::history`] to go on after it.
    #[serde(serialize_with = "serialize_key")]
    pub key: KeyText,
    /// When it was done, to the second. Written as Unix seconds by serde.
    #[serde(serialize_with = "chrono::serde::ts_seconds::serialize")]
    pub done_at: DateTime<Utc>,
    /// The event, as it was when it was done; `None` if the stored bytes are not an event.
    pub event: Option<TitoEvent>,
    /// The stored bytes, where they are no event.
    #[serde(serialize_with = "serialize_bytes", skip_serializing_if = "Option::is_none")]
    pub bytes: Option<Vec<u8>>,
}

impl TitoQueue {
    /// Up to `limit` events of a queue that were done between two times, to the second, including the first and
    /// excluding the second; by partition and then oldest first, after the one with the key `after`. The queue is a
    /// topic's own, `{topic}`, or a group's, `{topic}@{group}`.
    ///
    /// Only topics that are set to keep history have one. Costs two scans for each partition that has some.
    ///
    /// # Errors
    /// [`TitoError::InvalidName`](tito_core::TitoError::InvalidName),
    /// [`QueueError::UnknownTopic`](crate::QueueError::UnknownTopic),
    /// [`QueueError::UnknownGroup`](crate::QueueError::UnknownGroup), and those of the engine.
    pub async fn history(
        &self,
        queue: &str,
        times: Range<DateTime<Utc>>,
        limit: usize,
        after: Option<&KeyText>,
    ) -> Result<Vec<DoneEvent>, QueueError> {
        self.existing(queue).await?;
        let seconds = times.start.timestamp()..times.end.timestamp();
        let walk = PastWalk::new(Kind::Done, queue, after.map(KeyText::as_bytes));
        let found = self
            .engine
            .transaction(|tx| async move {
                let (mut walk, mut found) = (walk, Vec::new());
                while found.len() < limit {
                    let page = walk.page(&tx, seconds.clone(), PageSize::entries(limit - found.len())).await?;
                    if page.is_empty() {
                        break;
                    }
                    found.extend(page);
                }
                Ok(found)
            })
            .await?;
        Ok(found.into_iter().map(|(key, bytes)| done_event(key, bytes)).collect())
    }
}

fn done_event(key: Vec<u8>, bytes: Vec<u8>) -> DoneEvent {
    let event = read_event(&key, &bytes);
    DoneEvent {
        done_at: time_of(keys::parse_event_second(&key).unwrap_or(0)),
        bytes: event.is_none().then_some(bytes),
        event,
        key: KeyText::from(key),
    }
}
