//! Lists topics, pauses and resumes them, and sets how long their history is kept.

use std::time::Duration;

use tito_core::database::{PageSize, Walk};
use tito_core::engine::KeyValue;
use tito_core::event::{DEFAULT_PARTITIONS, Topic, check_queue_name, topic_of};
use tito_core::{KeyText, Result, TitoError};

use super::existing::change_topic;
use super::unknown_group;
use crate::error::QueueError;
use crate::keys;
use crate::queue::TitoQueue;

/// How many topics are read at once.
const PAGE: usize = 1_000;

impl TitoQueue {
    /// Up to `limit` topics with their names, by name, after the one named `after`; fewer where there are no more. One
    /// whose row can't be read is left out, and logged with its key; what is asked of it by its name is an error.
    ///
    /// # Errors
    /// Those of the engine.
    pub async fn topics(&self, limit: usize, after: Option<&str>) -> Result<Vec<(String, Topic)>, QueueError> {
        let all = keys::topics();
        let range = after.map_or(all.clone(), |name| all.after(&keys::topic(name)));
        let mut walk = Walk::over(range).in_pages(PageSize::entries(limit.clamp(1, PAGE)));
        let mut topics = Vec::new();
        while topics.len() < limit
            && let Some((page, _)) = walk.next(&self.engine).await?
        {
            for stored in &page[..page.len().min(limit - topics.len())] {
                match decode_topic(stored) {
                    Ok(topic) => topics.push(topic),
                    Err(error) => self.engine.log_damaged(&error, "a topic can't be read and is left out"),
                }
            }
        }
        Ok(topics)
    }

    /// Lets workers hand out nothing of a queue, `{type}` or `{type}@{group}`, in the whole fleet, until it is
    /// [resumed](TitoQueue::resume). They notice within a second or so; handlers that run go on to their end. Publishing
    /// goes on, and the topic's other queues too.
    ///
    /// # Errors
    /// [`TitoError::InvalidName`], [`QueueError::UnknownTopic`], [`QueueError::UnknownGroup`], and those of the engine.
    pub async fn pause(&self, queue: &str) -> Result<(), QueueError> {
        self.set_paused(queue, true).await
    }

    /// Ends what [`pause`](TitoQueue::pause) began.
    ///
    /// # Errors
    /// As [`pause`](TitoQueue::pause).
    pub async fn resume(&self, queue: &str) -> Result<(), QueueError> {
        self.set_paused(queue, false).await
    }

    async fn set_paused(&self, queue: &str, is_paused: bool) -> Result<(), QueueError> {
        check_queue_name(queue)?;
        let queue = queue.to_string();
        change_topic(&self.engine, topic_of(&queue.clone()).0, |mut topic, _| async move {
            let (topic_name, group) = topic_of(&queue);
            let (paused, by_restore) = match group {
                None => (&mut topic.paused, &mut topic.paused_by_restore),
                Some(name) => {
                    let group = topic.groups.get_mut(name).ok_or_else(|| unknown_group(topic_name, name))?;
                    (&mut group.paused, &mut group.paused_by_restore)
                }
            };
            // Whoever pauses or resumes it himself has decided: the end of a restore leaves it so.
            let before = (std::mem::replace(paused, is_paused), std::mem::take(by_restore));
            Ok((before != (is_paused, false)).then_some(topic))
        })
        .await?;
        Ok(())
    }

    /// Sets how long the topic's events are kept once they are done, in whole seconds rounded up; `None` deletes them at
    /// once. Holds for its groups too. A topic that does not exist is created.
    ///
    /// # Errors
    /// [`TitoError::InvalidName`], and those of the engine.
    pub async fn set_history(&self, topic_name: &str, kept: Option<Duration>) -> Result<(), QueueError> {
        Topic::ensure(&self.engine, topic_name, DEFAULT_PARTITIONS).await?;
        let seconds = kept.map_or(0, |kept| kept.as_secs().saturating_add(u64::from(kept.subsec_nanos() > 0)));
        change_topic(&self.engine, topic_name, |mut topic, _| async move {
            let old = std::mem::replace(&mut topic.history_seconds, seconds);
            Ok((old != seconds).then_some(topic))
        })
        .await?;
        Ok(())
    }
}

/// A topic with its name, as they are stored.
pub(super) fn decode_topic((key, value): &KeyValue) -> Result<(String, Topic)> {
    let name = keys::parse_topic(key).ok_or_else(|| TitoError::Malformed {
        key: KeyText::from(key.as_slice()),
        expected: "a topic, whose name is in its key",
        source: "the name is not escaped as names are".into(),
    })?;
    Ok((name, Topic::decode(key, value)?))
}
