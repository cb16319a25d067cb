//! Sets how fast a queue is handled while workers run.

use tito_core::event::{QueueLimits, check_queue_name, topic_of};

use super::existing::change_topic;
use super::unknown_group;
use crate::error::QueueError;
use crate::queue::TitoQueue;

impl TitoQueue {
    /// Sets how fast the workers of a queue, `{type}` or `{type}@{group}`, handle it, in place of what their
    /// subscriptions say, until it is set again: also for later workers, and after a deploy. Workers notice within a
    /// second or so; running handlers continue to their end. `QueueLimits::default()` leaves it to the subscriptions.
    ///
    /// The rate applies to the whole queue: each worker gets a part of it in proportion to the partitions that it
    /// serves. So together they never hand out more, and less if the events are in few of the partitions. A reactor's
    /// rate applies to the worker that reads its event store. The number of handlers applies to each worker.
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
