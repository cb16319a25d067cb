//! Sets how many finished events and dead letters are kept, and for how long.

use std::time::Duration;

use tito_core::event::{DEFAULT_PARTITIONS, Topic};

use super::existing::change_topic;
use crate::error::QueueError;
use crate::queue::TitoQueue;

impl TitoQueue {
    /// Sets how long the topic's events are kept once they are done, in whole seconds rounded up; `None` deletes them
    /// at once. Applies to its groups too. A topic that does not exist is created.
    ///
    /// # Errors
    /// [`TitoError::InvalidName`](tito_core::TitoError::InvalidName), and those of the engine.
    pub async fn set_history(&self, topic_name: &str, kept: Option<Duration>) -> Result<(), QueueError> {
        self.set_retention(topic_name, |topic| topic.history_seconds = kept.map_or(0, whole_seconds)).await
    }

    /// Sets how many of the topic's finished events, the newest, are kept in each of its queues; `None`, the default,
    /// for any number. No effect if [none are kept](TitoQueue::set_history). A topic that does not exist is created.
    ///
    /// The number is approximate: each worker counts a queue about every 30 s by reading it, so between two counts
    /// there can be more. At least this many are kept.
    ///
    /// # Errors
    /// Those of [`set_history`](TitoQueue::set_history).
    pub async fn set_history_limit(&self, topic_name: &str, most: Option<u64>) -> Result<(), QueueError> {
        self.set_retention(topic_name, |topic| topic.history_events = most.map_or(0, |most| most.max(1))).await
    }

    /// Sets how long dead letters of the topic are kept, in whole seconds rounded up, and how many of them, the newest,
    /// in each of its queues; `None`, the default, keeps them until somebody purges them, and in any number. The
    /// workers of the queue delete older ones for good, about every 30 s. The number is approximate, as for
    /// [`set_history_limit`](TitoQueue::set_history_limit). Applies to its groups too. A topic that does not exist is
    /// created.
    ///
    /// Without a limit, a worker warns once an hour about a queue with more than 10,000 dead letters.
    ///
    /// # Errors
    /// Those of [`set_history`](TitoQueue::set_history).
    pub async fn set_dead_letter_retention(
        &self,
        topic_name: &str,
        kept: Option<Duration>,
        most: Option<u64>,
    ) -> Result<(), QueueError> {
        self.set_retention(topic_name, |topic| {
            // A second at least: 0 is what says that they are kept.
            topic.dead_letter_seconds = kept.map_or(0, |kept| whole_seconds(kept).max(1));
            topic.dead_letter_events = most.map_or(0, |most| most.max(1));
        })
        .await
    }

    async fn set_retention(
        &self,
        topic_name: &str,
        set: impl Fn(&mut Topic) + Clone + Send + Sync,
    ) -> Result<(), QueueError> {
        Topic::ensure(&self.engine, topic_name, DEFAULT_PARTITIONS).await?;
        change_topic(&self.engine, topic_name, |topic, _| async move {
            let mut changed = topic.clone();
            set(&mut changed);
            Ok((changed != topic).then_some(changed))
        })
        .await?;
        Ok(())
    }
}

fn whole_seconds(duration: Duration) -> u64 {
    duration.as_secs().saturating_add(u64::from(duration.subsec_nanos() > 0))
}
