//! Replays what was done into a queue.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Utc};
use serde::Serialize;
use tito_core::database::{PageSize, Walk};
use tito_core::engine::KeyValue;
use tito_core::event::{Topic, check_queue_name, topic_of};
use tito_core::{Database, Result, TitoError, Transaction};
use uuid::Uuid;

use super::walk::PastWalk;
use crate::again::{self, Again};
use crate::error::QueueError;
use crate::inspect::read_event;
use crate::keys;
use crate::place::{Kind, Place};
use crate::queue::TitoQueue;
use crate::topics::{change_topic, existing_topic};

/// What a replay did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Replayed {
    /// Events that are due again.
    pub events: u64,
    /// Events that were skipped: those that are still to be done in the queue anyway, and stored bytes that are not an
    /// event.
    pub skipped: u64,
}

impl TitoQueue {
    /// Makes everything that was done in the queue `from` between two times (to the second; the first included, the
    /// second excluded) due in the queue `into` of the same topic: a topic's own, `{type}`, or a group's,
    /// `{type}@{group}`. The history stays.
    ///
    /// The events keep their ids and go to their old places, so that those of one entity are handled in their old order
    /// and before its later ones. They have all their attempts again. An event that is still to be done in `into` when
    /// the replay begins is skipped, so a second replay of events that have not been handled yet adds nothing. Events
    /// that are done while the replay runs are not replayed.
    ///
    /// Works in transactions of at most 200 events, after reading what `into` holds, whose ids (16 bytes each) are kept
    /// in memory meanwhile. Use [`replaying`](TitoQueue::replaying) to continue after an error.
    ///
    /// # Errors
    /// [`TitoError::InvalidName`] for queues of different topics and for a group that is not registered,
    /// [`QueueError::UnknownTopic`], [`QueueError::UnknownGroup`], and those of the
    /// engine; what was replayed by then stays replayed.
    pub async fn replay(&self, from: &str, times: Range<DateTime<Utc>>, into: &str) -> Result<Replayed, QueueError> {
        let mut replay = self.replaying(from, times, into).await?;
        while replay.step().await? {}
        Ok(replay.so_far())
    }

    /// Like [`replay`](TitoQueue::replay), to be done step by step.
    ///
    /// # Errors
    /// Those of [`replay`](TitoQueue::replay).
    pub async fn replaying(&self, from: &str, times: Range<DateTime<Utc>>, into: &str) -> Result<Replay, QueueError> {
        check_queue_name(into)?;
        self.existing(from).await?;
        let invalid = |reason| TitoError::InvalidName { what: "queue to replay into", name: into.to_string(), reason };
        let (topic_name, group) = topic_of(into);
        if topic_of(from).0 != topic_name {
            return Err(invalid("it belongs to another topic").into());
        }
        let topic = existing_topic(&self.engine, topic_name).await?;
        if group.is_some_and(|group| !topic.groups.contains_key(group)) {
            return Err(invalid("its group is not registered").into());
        }
        // The order's time, which is not before what was now until the database's time was set back.
        let now = (self.engine.timestamp().await?.physical_millis() / 1_000) as i64;
        Ok(Replay {
            queue: self.clone(),
            topic_name: topic_name.to_string(),
            into: into.into(),
            // What is replayed may be done again while this runs, and must not come round for ever. Within the present
            // second it is done under the key that was passed already.
            seconds: times.start.timestamp()..times.end.timestamp().min(now + 1),
            walk: Some(PastWalk::new(Kind::Done, from, None)),
            taken: None,
            replayed: Replayed::default(),
        })
    }
}

/// A replay under way. Dropping it ends it; what was replayed by then stays replayed.
#[derive(Debug)]
#[must_use = "it does nothing until it is stepped"]
pub struct Replay {
    queue: TitoQueue,
    topic_name: String,
    into: Arc<str>,
    seconds: Range<i64>,
    walk: Option<PastWalk>,
    /// The ids of what is in the queue already, be it replayed.
    taken: Option<HashSet<Uuid>>,
    replayed: Replayed,
}

/// What one transaction came to.
#[derive(Default)]
struct Step {
    /// Where to go on; `None` at the end.
    walk: Option<PastWalk>,
    ids: Vec<Uuid>,
    skipped: u64,
}

impl Replay {
    /// Replays up to 200 events in one transaction. Returns whether there may be more.
    ///
    /// # Errors
    /// Those of the engine. Calling it again continues where it stopped. If the outcome of the commit was unknown,
    /// events that it replayed and that were done since are replayed once more.
    pub async fn step(&mut self) -> Result<bool, QueueError> {
        let Some(walk) = self.walk.clone() else { return Ok(false) };
        if self.taken.is_none() {
            self.taken = Some(pending_ids(&self.queue.engine, &self.into).await?);
        }
        let taken = self.taken.get_or_insert_default();
        let (into, seconds) = (&self.into, &self.seconds);
        let size = PageSize::within(self.queue.engine.limits());
        let step = Mutex::new(Step::default());
        {
            let (step, taken) = (&step, &*taken);
            change_topic(&self.queue.engine, &self.topic_name, |topic, tx| async move {
                let mut walk = walk;
                let page = walk.page(&tx, seconds.clone(), size).await?;
                let mut done = Step { walk: (!page.is_empty()).then_some(walk), ..Step::default() };
                copy(&tx, into, &topic, page, taken, &mut done).await?;
                // A new revision: workers' cursors have passed the places that the events come in at.
                let changed = (!done.ids.is_empty()).then_some(topic);
                *step.lock().unwrap_or_else(PoisonError::into_inner) = done;
                Ok(changed)
            })
            .await?;
        }
        let step = step.into_inner().unwrap_or_else(PoisonError::into_inner);
        self.replayed.events += step.ids.len() as u64;
        self.replayed.skipped += step.skipped;
        taken.extend(step.ids);
        self.walk = step.walk;
        Ok(self.walk.is_some())
    }

    /// What was replayed so far.
    pub fn so_far(&self) -> Replayed {
        self.replayed
    }
}

async fn copy(
    tx: &Transaction,
    into: &Arc<str>,
    topic: &Topic,
    page: Vec<KeyValue>,
    taken: &HashSet<Uuid>,
    done: &mut Step,
) -> Result<()> {
    let now = tx.now().seconds();
    for (done_key, value) in page {
        let event = read_event(&done_key, &value);
        let Some(event) = event.filter(|event| !taken.contains(&event.id) && !done.ids.contains(&event.id)) else {
            done.skipped += 1;
            continue;
        };
        let event = Again::Replayed { now }.applied_to(event);
        // Published or replayed since the replay began.
        if tx.get(&Place::of(&event, topic).key(into)).await?.is_some() {
            done.skipped += 1;
            continue;
        }
        if event.owner.is_some() {
            // Whoever erases its owner meanwhile meets a conflict, and then finds what was replayed too.
            tx.lock_keys(vec![done_key]).await?;
        }
        done.ids.push(event.id);
        again::put(tx, into, topic, &event, None).await?;
    }
    Ok(())
}

pub(crate) async fn pending_ids(database: &Database, queue: &str) -> Result<HashSet<Uuid>> {
    let mut walk = Walk::over(keys::events_of_queue(queue));
    let mut ids = HashSet::new();
    while let Some((page, _)) = walk.next(database).await? {
        ids.extend(page.iter().filter_map(|(key, _)| keys::parse_event(key)).map(|place| place.id));
    }
    Ok(ids)
}
