//! Queues that there are.

use std::sync::Arc;

use tito_core::Result;
use tito_core::event::{Topic, check_queue_name, topic_of};

use super::unknown_group;
use crate::queue::TitoQueue;

impl TitoQueue {
    /// The topic of a queue that there is, `{type}` or `{type}@{group}`, as it is stored: asking about one that there is
    /// not is an error and does not create it. A group that is being removed counts as there.
    pub(crate) async fn existing(&self, queue: &str) -> Result<Arc<Topic>> {
        check_queue_name(queue)?;
        let (topic_name, group) = topic_of(queue);
        let topic = Topic::existing(&self.engine, topic_name).await?;
        match group {
            Some(group) if !topic.groups.contains_key(group) && !topic.removed_groups.contains_key(group) => {
                Err(unknown_group(topic_name, group))
            }
            _ => Ok(topic),
        }
    }
}
