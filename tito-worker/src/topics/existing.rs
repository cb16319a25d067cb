//! Topics and queues that there are: asking about others is an error and does not create them.

use std::future::Future;
use std::sync::Arc;

use tito_core::event::{Topic, check_queue_name, topic_of};
use tito_core::{Database, Transaction};

use super::unknown::unknown_topic;
use super::unknown_group;
use crate::error::QueueError;
use crate::queue::TitoQueue;

/// The topic as it is stored.
///
/// # Errors
/// Those of [`Topic::find`], and [`QueueError::UnknownTopic`].
pub(crate) async fn existing_topic(database: &Database, name: &str) -> Result<Arc<Topic>, QueueError> {
    match Topic::find(database, name).await? {
        Some(topic) => Ok(topic),
        None => Err(unknown_topic(database, name).await?),
    }
}

/// Like [`existing_topic`], from the cache if it was read within the last 5 seconds.
///
/// # Errors
/// Those of [`existing_topic`].
pub(crate) async fn cached_topic(database: &Database, name: &str) -> Result<Arc<Topic>, QueueError> {
    match Topic::find_cached(database, name).await? {
        Some(topic) => Ok(topic),
        None => Err(unknown_topic(database, name).await?),
    }
}

/// Like [`Topic::change`] of a topic that there is.
///
/// # Errors
/// Those of [`existing_topic`], and those of `change`.
pub(crate) async fn change_topic<F, Fut>(database: &Database, name: &str, change: F) -> Result<Arc<Topic>, QueueError>
where
    F: FnOnce(Topic, Transaction) -> Fut + Clone + Send,
    Fut: Future<Output = tito_core::Result<Option<Topic>>> + Send,
{
    existing_topic(database, name).await?;
    Ok(Topic::change(database, name, change).await?)
}

impl TitoQueue {
    /// The topic of a queue that there is, `{type}` or `{type}@{group}`, as it is stored. A group that is being removed
    /// counts as there.
    pub(crate) async fn existing(&self, queue: &str) -> Result<Arc<Topic>, QueueError> {
        check_queue_name(queue)?;
        let (topic_name, group) = topic_of(queue);
        let topic = existing_topic(&self.engine, topic_name).await?;
        match group {
            Some(group) if !topic.groups.contains_key(group) && !topic.removed_groups.contains_key(group) => {
                Err(unknown_group(topic_name, group))
            }
            _ => Ok(topic),
        }
    }
}
