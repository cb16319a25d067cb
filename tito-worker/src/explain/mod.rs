//! Why an event is not handled.
//!
//! | file | idea |
//! |---|---|
//! | this one | the question, and the answer put together |
//! | `because` | the reasons that there are |
//! | `find` | where the event is |
//! | `ahead` | what comes before it in its partition |
//! | `serving` | who serves its queue, and has it in hand |
//! | `entity` | the events of an entity |

mod ahead;
mod because;
mod entity;
mod find;
mod serving;

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::Serialize;
use tito_core::event::{TitoEvent, Topic, check_queue_name, topic_of};
use tito_core::{KeyText, Result, TitoError, Transaction};
use uuid::Uuid;

use self::ahead::ahead;
pub use self::because::{Because, PausedBy};
pub use self::entity::EntityEvents;
pub use self::find::WhichEvent;
use self::find::{Found, find};
use self::serving::Servers;
use crate::error::QueueError;
use crate::inspect::{PendingState, later_version, read_event, serialize_key_or_none};
use crate::keys;
use crate::place::Kind;
use crate::queue::TitoQueue;
use crate::time::time_of;

/// Why an event of a queue is not handled, or what happened to it.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Explanation {
    /// The queue.
    pub queue: String,
    /// The event's id.
    pub id: Uuid,
    /// As of when, to the second. Written as Unix seconds by serde.
    #[serde(serialize_with = "chrono::serde::ts_seconds::serialize")]
    pub as_of: DateTime<Utc>,
    /// The reasons: at least one, the decisive one first.
    pub because: Vec<Because>,
    /// Where it is stored, if it was found.
    #[serde(serialize_with = "serialize_key_or_none")]
    pub key: Option<KeyText>,
    /// The event; none if it was not found, or what is stored is none.
    pub event: Option<TitoEvent>,
    /// How many rows of events were read to find that out.
    pub rows_read: u64,
}

impl TitoQueue {
    /// Why an event is not handled in a queue, `{type}` or `{type}@{group}`, or what happened to it there: by a
    /// [reference](tito_core::event::EventReference), by its id and entity, or by its id alone.
    ///
    /// The answer is based on what is stored, at one snapshot, and on what [workers](TitoQueue::workers) report, which
    /// can be 10 s old for other processes. It does not include what only its worker knows: the order of its
    /// subscription (an earlier event of its entity that has failed blocks it only in strict order), and the
    /// subscription's delay.
    ///
    /// Reads one partition of the queue, two while the number of partitions is being changed: the place where the event
    /// was published or moved to, then at most 300 rows of each kind (pending, dead, done) to find it and at most 600
    /// before it, and the rows of workers. With the id alone every partition is asked, and the rows are the queue's
    /// first ones. If it was not found, the answer says whether that is [certain](Because::NotFound).
    ///
    /// ```
    /// # use tito_core::event::EventReference;
    /// # use tito_worker::prelude::*;
    /// # async fn example(queue: TitoQueue, event: EventReference) -> Result<(), tito_worker::QueueError> {
    /// let explanation = queue.explain("mail", &event).await?;
    /// for because in &explanation.because {
    ///     println!("{because}");
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`TitoError::InvalidName`], also for a reference to an event of another topic, and those of the engine. A topic
    /// or a group that does not exist is an answer, not an error.
    pub async fn explain(&self, queue: &str, event: impl Into<WhichEvent> + Send) -> Result<Explanation, QueueError> {
        let which = event.into();
        check_queue_name(queue)?;
        if let WhichEvent::Reference(reference) = &which
            && reference.event_type != topic_of(queue).0
        {
            let (name, reason) = (queue.to_string(), "it belongs to another topic than the event");
            return Err(TitoError::InvalidName { what: "queue of an event", name, reason }.into());
        }
        let missing = match self.existing(queue).await {
            Ok(topic) => {
                let servers = &Servers::of(self, queue, which.id()).await?;
                let (queue, which) = (&Arc::<str>::from(queue), &which);
                let read = |tx: Transaction| {
                    let topic = topic.clone();
                    async move { explain_in(&tx, queue, &topic, which, servers).await }
                };
                return Ok(self.engine.transaction(read).await?);
            }
            Err(QueueError::UnknownTopic { nearest, .. }) => Because::TopicMissing { nearest },
            Err(QueueError::UnknownGroup { .. }) => Because::GroupMissing,
            Err(error) => return Err(error),
        };
        Ok(Explanation {
            queue: queue.to_string(),
            id: which.id(),
            as_of: time_of(self.engine.now().await?.seconds()),
            because: vec![missing],
            key: None,
            event: None,
            rows_read: 0,
        })
    }
}

async fn explain_in(
    tx: &Transaction,
    queue: &Arc<str>,
    topic: &Topic,
    which: &WhichEvent,
    servers: &Servers,
) -> Result<Explanation> {
    let now = tx.now().seconds();
    let Found { row, rows_read, is_certain } = find(tx, queue, topic, which).await?;
    let mut explanation = Explanation {
        queue: queue.to_string(),
        id: which.id(),
        as_of: time_of(now),
        because: Vec::new(),
        key: None,
        event: None,
        rows_read,
    };
    let Some((kind, (key, value))) = row else {
        let is_gone = topic_of(queue).1.is_some_and(|group| !topic.groups.contains_key(group));
        explanation.because.extend(is_gone.then_some(Because::GroupMissing));
        explanation.because.push(Because::NotFound { is_certain });
        return Ok(explanation);
    };
    let event = read_event(&key, &value);
    let at = time_of(keys::parse_event_second(&key).unwrap_or(0));
    let last_failure = || event.as_ref().and_then(|event| event.failures.last().cloned());
    match kind {
        Kind::Done => {
            let completion = event.as_ref().and_then(|event| event.done.clone());
            explanation.because.push(Because::Done { at, completion });
        }
        Kind::Dead => explanation.because.push(Because::Dead { at, failure: last_failure() }),
        Kind::Pending => explain_pending(tx, topic, servers, &key, event.as_ref(), &mut explanation).await?,
    }
    explanation.event = event;
    explanation.key = Some(KeyText::from(key));
    Ok(explanation)
}

async fn explain_pending(
    tx: &Transaction,
    topic: &Topic,
    servers: &Servers,
    key: &[u8],
    event: Option<&TitoEvent>,
    explanation: &mut Explanation,
) -> Result<()> {
    let Explanation { queue, because, rows_read, .. } = explanation;
    let partition = keys::parse_event_partition(key).expect("it was found by a key that names its partition");
    let serving = servers.of_partition(tx, queue, partition, key).await?;
    because.extend(serving.in_hand.map(|(worker, since)| Because::Running { worker, since }));
    because.extend(paused(queue, topic));
    let Some(event) = event else {
        because.push(Because::Unreadable);
        return Ok(());
    };
    if let Some((version, known)) = later_version(event, serving.known_version) {
        because.push(Because::LaterVersion { version, known });
    }
    let (state, due) = PendingState::of(key, Some(event), tx.now().seconds());
    let until = time_of(due);
    match state {
        PendingState::Scheduled => because.push(Because::NotDue { until }),
        PendingState::Retrying => {
            let failure = event.failures.last().cloned();
            because.push(Because::Retrying { attempt: event.attempt(), until, failure });
        }
        PendingState::Due | PendingState::Malformed => {}
    }
    if !serving.is_served {
        because.push(Because::NoSubscriber);
    }
    because.extend(serving.unowned.map(|last_owner| Because::NoOwner { last_owner }));
    let ahead = ahead(tx, queue, partition, key, &event.entity).await?;
    *rows_read += ahead.rows_read;
    because.extend(ahead.of_its_entity.and_then(|(key, value)| behind(key, &value, serving.known_version)));
    because.extend(topic.is_moving(&event.entity).then_some(Because::Moving));
    because.extend(event.deaths.map(|deaths| Because::Suspect { deaths }));
    if because.is_empty() {
        because.extend(serving.limited.map(|by| Because::Limited { by }));
    }
    if because.is_empty() {
        because.push(Because::InLine { before: ahead.before, at_least: ahead.at_least });
    }
    Ok(())
}

fn paused(queue: &str, topic: &Topic) -> Option<Because> {
    let (is_paused, by_restore) = match topic_of(queue).1 {
        None => (topic.paused, topic.paused_by_restore),
        Some(group) => {
            let Some(group) = topic.groups.get(group) else { return Some(Because::GroupMissing) };
            if group.copies_before.is_some() && !group.paused {
                return Some(Because::Paused { until: None, by: PausedBy::Copying });
            }
            (group.paused, group.paused_by_restore)
        }
    };
    let by = if by_restore { PausedBy::Restore } else { PausedBy::Operator };
    let until = topic.paused_until(queue).map(time_of);
    is_paused.then_some(Because::Paused { until, by })
}

fn behind(key: Vec<u8>, value: &[u8], known_version: Option<u32>) -> Option<Because> {
    let event = read_event(&key, value)?;
    Some(Because::Behind {
        id: event.id,
        failed_attempts: event.failed_attempts,
        until: event.not_before.map(time_of),
        failure: event.failures.last().cloned(),
        later_version: later_version(&event, known_version).map(|(version, _)| version),
        key: KeyText::from(key),
    })
}
