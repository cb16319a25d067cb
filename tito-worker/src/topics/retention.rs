//! Sets how much is kept of what is done, and of dead letters.

use std::time::Duration;

use tito_core::event::{DEFAULT_PARTITIONS, Topic};

use super::existing::change_topic;
use crate::error::QueueError;
use crate::queue::TitoQueue;

impl TitoQueue {
    /// Sets how long the topic's events are kept once they are done, in whole seconds rounded up; `None` deletes them at
    /// once. Holds for its groups too. A topic that does not exist is created.
    ///
    /// # Errors
    /// [`TitoError::InvalidName`](tito_core::TitoError::InvalidName), and those of the engine.
    pub async fn set_history(&self, topic_name: &str, kept: Option<Duration>) -> Result<(), QueueError> {
        self.set_retention(topic_name, |topic| topic.history_seconds = kept.map_or(0, whole_seconds)).await
    }

    /// Sets how many of the topic's events are kept once they are done, the newest, in each of its queues; `None` for any
    /// number, which it is unless set. It does nothing where [none are kept](TitoQueue::set_history). A topic that does not
    /// exist is created.
    ///
    /// It is kept about: a queue is counted about every 30 s by each of its workers, which reads what it counts, so between
    /// two counts there can be more. At least so many are kept.
    ///
    /// # Errors
    /// Those of [`set_history`](TitoQueue::set_history).
    pub async fn set_history_limit(&self, topic_name: &str, most: Option<u64>) -> Result<(), QueueError> {
        self.set_retention(topic_name, |topic| topic.history_events = most.map_or(0, |most| most.max(1))).await
    }

    /// Sets how long dead letters of the topic are kept, in whole seconds rounded up, and how many of them, the newest, in
    /// each of its queues; `None` for as long as nobody purges them, and for any number, which it is unless set. Older ones
    /// are deleted for good by the workers of the queue, about every 30 s. The number is kept about, as that of
    /// [`set_history_limit`](TitoQueue::set_history_limit). Holds for its groups too. A topic that does not exist is created.
    ///
    /// Without a limit a worker warns once an hour of a queue with more than 10,000 dead letters.
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
