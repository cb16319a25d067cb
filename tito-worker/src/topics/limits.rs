//! Sets how fast a queue is handled, while it is.

use tito_core::event::{QueueLimits, check_queue_name, topic_of};

use super::existing::change_topic;
use super::unknown_group;
use crate::error::QueueError;
use crate::queue::TitoQueue;

impl TitoQueue {
    /// Sets how fast the workers of a queue, `{type}` or `{type}@{group}`, handle it, in place of what their
    /// subscriptions say, until it is set again: also for workers that begin later, and after a deploy. They notice within
    /// a second or so; handlers that run go on to their end. `QueueLimits::default()` is as the subscriptions say.
    ///
    /// The rate is that of the whole queue: each worker takes as much of it as it serves of the queue's partitions. So
    /// together they never hand out more, and less where the events lie in few of the partitions. A reactor's is that of
    /// the worker which reads its event store. The number of handlers is that of each worker.
    ///
    /// ```
    /// # use tito_core::prelude::*;
    /// # use tito_core::event::{QueueLimits, Rate};
    /// # use tito_worker::prelude::*;
    /// # async fn example(queue: TitoQueue) -> Result<(), TitoError> {
    /// queue.set_limits("mail", QueueLimits::default().rate(Rate::per_second(5)).concurrency(2)).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`TitoError::InvalidName`](tito_core::TitoError::InvalidName), [`QueueError::UnknownTopic`],
    /// [`QueueError::UnknownGroup`], and those of the engine.
    pub async fn set_limits(&self, queue: &str, limits: QueueLimits) -> Result<(), QueueError> {
        check_queue_name(queue)?;
        let name = queue.to_string();
        change_topic(&self.engine, topic_of(queue).0, |mut topic, _| async move {
            let (topic_name, group) = topic_of(&name);
            let stored = match group {
                None => &mut topic.limits,
                Some(name) => &mut topic.groups.get_mut(name).ok_or_else(|| unknown_group(topic_name, name))?.limits,
            };
            // What a later version has stored beside them stays.
            let set = QueueLimits { unknown: stored.unknown.clone(), ..limits };
            let before = std::mem::replace(stored, set);
            Ok((before != *stored).then_some(topic))
        })
        .await?;
        Ok(())
    }
}
