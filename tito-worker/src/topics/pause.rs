//! Pauses queues and resumes them.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use tito_core::Database;
use tito_core::event::{Topic, check_queue_name, topic_of};

use super::existing::change_topic;
use super::unknown_group;
use crate::error::QueueError;
use crate::queue::TitoQueue;
use crate::time::rounded_up;

/// What is stored of a queue's pause.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Pause {
    is_paused: bool,
    until: Option<i64>,
    by_restore: bool,
}

impl Pause {
    const NONE: Self = Self { is_paused: false, until: None, by_restore: false };

    fn until(until: Option<i64>) -> Self {
        Self { is_paused: true, until, by_restore: false }
    }
}

impl TitoQueue {
    /// Stops all workers from handing out events of a queue, `{type}` or `{type}@{group}`, until it is
    /// [resumed](TitoQueue::resume). They notice within a second or so, on TiKV within five where one serves thousands of
    /// queues; running handlers continue to their end. Publishing continues, and so do the topic's other queues.
    ///
    /// # Errors
    /// [`TitoError::InvalidName`](tito_core::TitoError::InvalidName), [`QueueError::UnknownTopic`],
    /// [`QueueError::UnknownGroup`], and those of the engine.
    pub async fn pause(&self, queue: &str) -> Result<(), QueueError> {
        change_pause(&self.engine, queue, |_, _| Pause::until(None)).await.map(drop)
    }

    /// Like [`pause`](TitoQueue::pause), until a time, by the database's time and rounded up to whole seconds: then any
    /// worker of the queue resumes it, or the first one that runs later. A past time resumes it now.
    ///
    /// ```
    /// # use tito_core::prelude::*;
    /// # use tito_worker::prelude::*;
    /// # async fn example(queue: TitoQueue) -> Result<(), TitoError> {
    /// queue.pause_until("mail", chrono::Utc::now() + chrono::TimeDelta::minutes(30)).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Those of [`pause`](TitoQueue::pause).
    pub async fn pause_until(&self, queue: &str, time: DateTime<Utc>) -> Result<(), QueueError> {
        let until = rounded_up(time);
        let pause = move |_, now| if until > now { Pause::until(Some(until)) } else { Pause::NONE };
        change_pause(&self.engine, queue, pause).await.map(drop)
    }

    /// Ends what [`pause`](TitoQueue::pause) and [`pause_until`](TitoQueue::pause_until) began.
    ///
    /// # Errors
    /// Those of [`pause`](TitoQueue::pause).
    pub async fn resume(&self, queue: &str) -> Result<(), QueueError> {
        change_pause(&self.engine, queue, |_, _| Pause::NONE).await.map(drop)
    }
}

/// When the pause of a queue is to be ended by a worker, in Unix seconds. At once where a release that knows nothing of such
/// times has resumed it: what that leaves behind would end the next pause which it begins.
pub(crate) fn pause_ends(topic: &Topic, queue: &str) -> Option<i64> {
    let (is_paused, until) = match topic_of(queue).1 {
        None => (topic.paused, topic.paused_until),
        Some(group) => topic.groups.get(group).map(|group| (group.paused, group.paused_until))?,
    };
    until.map(|until| if is_paused { until } else { 0 })
}

/// Resumes a queue if it was paused until a time that has come, or forgets that time where it was resumed before. Returns its
/// topic as it is then.
pub(crate) async fn end_pause(database: &Database, queue: &str) -> Result<Arc<Topic>, QueueError> {
    let end = |pause: Pause, now| match pause.until {
        Some(until) if !pause.is_paused || until <= now => Pause::NONE,
        _ => pause,
    };
    let topic = change_pause(database, queue, end).await?;
    if !topic.is_paused(queue) {
        tracing::info!(queue, "the queue is no longer paused for a time");
    }
    Ok(topic)
}

/// `change` gets what is stored and the present second.
async fn change_pause(
    database: &Database,
    queue: &str,
    change: impl Fn(Pause, i64) -> Pause + Clone + Send,
) -> Result<Arc<Topic>, QueueError> {
    check_queue_name(queue)?;
    let name = queue.to_string();
    change_topic(database, topic_of(queue).0, |mut topic, tx| async move {
        let (topic_name, group) = topic_of(&name);
        let (paused, until, by_restore) = match group {
            None => (&mut topic.paused, &mut topic.paused_until, &mut topic.paused_by_restore),
            Some(name) => {
                let group = topic.groups.get_mut(name).ok_or_else(|| unknown_group(topic_name, name))?;
                (&mut group.paused, &mut group.paused_until, &mut group.paused_by_restore)
            }
        };
        let before = Pause { is_paused: *paused, until: *until, by_restore: *by_restore };
        // Whoever pauses or resumes it himself has decided: the end of a restore leaves it so.
        let after = change(before, tx.now().seconds());
        (*paused, *until, *by_restore) = (after.is_paused, after.until, after.by_restore);
        Ok((before != after).then_some(topic))
    })
    .await
}
