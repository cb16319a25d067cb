//! One event, wherever it is.

use serde::Serialize;
use tito_core::database::Walk;
use tito_core::event::{EventReference, TitoEvent, started_at};
use tito_core::{KeyText, Result, Transaction};
use uuid::Uuid;

use super::shown::serialize_key;
use super::state::{PendingState, read_event};
use crate::error::QueueError;
use crate::keys;
use crate::locate::locate;
use crate::moved::Moved;
use crate::place::Kind;
use crate::queue::TitoQueue;
use crate::topics::existing_topic;

/// Where an event was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FoundIn {
    /// It has not been done.
    Pending(PendingState),
    /// It failed for good.
    Dead,
    /// It was done, and is kept as history.
    Done,
}

/// In how many partitions of a queue an event is looked for without a search.
const MOST_PARTITIONS: u16 = 256;

/// An event that was found in one queue.
#[derive(Clone, Debug, Serialize)]
pub struct FoundEvent {
    /// The queue: the topic's own, or a group's.
    pub queue: String,
    /// Where it was found.
    pub found_in: FoundIn,
    /// Where it is stored.
    #[serde(serialize_with = "serialize_key")]
    pub key: KeyText,
    /// The event; `None` if the stored bytes are none.
    pub event: Option<TitoEvent>,
}

impl TitoQueue {
    /// Where an unfinished event is, in its topic's own queue and in every group's. Costs as much as
    /// [`cancel`](TitoQueue::cancel). For an event that is no longer pending, see
    /// [`find_by_id`](TitoQueue::find_by_id).
    ///
    /// # Errors
    /// Those of [`cancel`](TitoQueue::cancel).
    pub async fn find(&self, event: &EventReference) -> Result<Vec<FoundEvent>, QueueError> {
        let database = &self.engine;
        let found = database
            .transaction(|tx| async move {
                let now = tx.now().seconds();
                let located = locate(database, &tx, event).await?;
                let found = located.into_iter().map(|located| {
                    let event = read_event(&located.key, &located.value);
                    let state = PendingState::of(&located.key, event.as_ref(), now).0;
                    FoundEvent {
                        queue: located.queue.to_string(),
                        found_in: FoundIn::Pending(state),
                        key: KeyText::from(located.key),
                        event,
                    }
                });
                Ok(found.collect())
            })
            .await?;
        Ok(found)
    }

    /// Where an event of a topic is that has not been done, by its id alone, as far as that is found without a search: in
    /// each of the topic's queues where it was published, if it was due at once, and where it was moved last. Costs a read
    /// of two keys for each partition and queue, of the first 256 partitions. For what is not found
    /// [`find_by_id`](TitoQueue::find_by_id) reads everything.
    ///
    /// # Errors
    /// [`TitoError::InvalidName`](tito_core::TitoError::InvalidName), [`QueueError::UnknownTopic`], and those of the
    /// engine.
    pub async fn find_pending(&self, topic_name: &str, id: Uuid) -> Result<Vec<FoundEvent>, QueueError> {
        let topic = existing_topic(&self.engine, topic_name).await?;
        let second = (started_at(id).physical_millis() / 1_000) as i64;
        let mut all = Vec::new();
        for queue in topic.queues(topic_name) {
            let looking = |tx: Transaction| {
                let (queue, topic) = (queue.clone(), topic.clone());
                async move {
                    let note = tx.get(&keys::moved_event(&queue, id)).await?;
                    let moved = note.and_then(|note| Moved::read(tx.database(), &queue, id, &note));
                    let partitions = 0..topic.served_partitions().min(MOST_PARTITIONS);
                    // What time it was can be a little before the timestamp that the id has.
                    let due = partitions.flat_map(|partition| [(partition, second), (partition, second - 1)]);
                    let places = due.chain(moved);
                    let likely: Vec<_> =
                        places.map(|(partition, second)| keys::event(&queue, partition, second, id)).collect();
                    let stored = tx.batch_get(likely.clone()).await?;
                    let found = likely.into_iter().zip(stored).find_map(|(key, value)| Some((key, value?)));
                    Ok(found.map(|found| (found, tx.now().seconds())))
                }
            };
            if let Some(((key, value), now)) = self.engine.transaction(looking).await? {
                let event = read_event(&key, &value);
                let found_in = FoundIn::Pending(PendingState::of(&key, event.as_ref(), now).0);
                all.push(FoundEvent { queue, found_in, key: KeyText::from(key), event });
            }
        }
        Ok(all)
    }

    /// Everything there is of the event of a topic with this id, in the topic's own queue and in every group's:
    /// pending, dead and done. Reads all events of the topic, in pages, each at its own snapshot: for an operator, not
    /// for a program's daily work.
    ///
    /// # Errors
    /// [`TitoError::InvalidName`](tito_core::TitoError::InvalidName), and those of the engine.
    pub async fn find_by_id(&self, topic_name: &str, id: Uuid) -> Result<Vec<FoundEvent>, QueueError> {
        let topic = existing_topic(&self.engine, topic_name).await?;
        let mut all = Vec::new();
        for queue in topic.queues(topic_name) {
            for kind in Kind::ALL {
                let mut walk = Walk::over(kind.of_queue(&queue));
                while let Some((page, now)) = walk.next(&self.engine).await? {
                    for (key, value) in page {
                        if keys::parse_event(&key).is_none_or(|place| place.id != id) {
                            continue;
                        }
                        let event = read_event(&key, &value);
                        let found_in = match kind {
                            Kind::Pending => FoundIn::Pending(PendingState::of(&key, event.as_ref(), now.seconds()).0),
                            Kind::Dead => FoundIn::Dead,
                            Kind::Done => FoundIn::Done,
                        };
                        all.push(FoundEvent { queue: queue.clone(), found_in, key: KeyText::from(key), event });
                    }
                }
            }
        }
        Ok(all)
    }
}
