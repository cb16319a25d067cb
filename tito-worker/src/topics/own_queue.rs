//! Whether a topic has a queue of its own.

use tito_core::event::{Topic, settle_topics};
use tito_core::{Database, Result};

use super::existing::change_topic;
use super::is_settled;
use crate::error::QueueError;
use crate::queue::TitoQueue;

impl TitoQueue {
    /// Says whether events of a topic are published only to its groups, which saves a key for each event if nobody
    /// consumes the topic's own queue. Once this returns, no event is committed to the topic's own queue, or every one
    /// is; on an engine with other writing processes that takes as long as [`add_group`](TitoQueue::add_group).
    ///
    /// What is in the topic's own queue stays: it is handed out to a subscription as before, or can be
    /// [purged](TitoQueue::purge). [`GroupStart::History`](crate::GroupStart::History), replays and dead letters of the
    /// topic's own queue don't include events that are published only to groups.
    ///
    /// Programs of a release that does not know this setting preserve it, but publish to the topic's own queue as well;
    /// none of them should remove groups of such a topic.
    ///
    /// # Errors
    /// [`QueueError::NoQueue`] for a topic without groups; [`TitoError::InvalidName`](tito_core::TitoError::InvalidName), [`QueueError::UnknownTopic`], and
    /// those of the engine: call again to finish.
    pub async fn set_groups_only(&self, topic_name: &str, groups_only: bool) -> Result<(), QueueError> {
        let name = topic_name.to_string();
        let topic = change_topic(&self.engine, topic_name, |mut topic, tx| async move {
            if groups_only && topic.groups.is_empty() {
                return Err(QueueError::NoQueue { topic: name }.into());
            }
            if topic.groups_only == groups_only {
                return Ok(None);
            }
            topic.groups_only = groups_only;
            topic.own_queue_since = (!groups_only).then(|| tx.now().seconds());
            Ok(Some(topic))
        })
        .await?;
        match topic.own_queue_since {
            Some(since) => settle_since(&self.engine, since).await?,
            None if groups_only => settle_topics(&self.engine).await?,
            None => {}
        }
        Ok(())
    }
}

/// Waits until everybody publishes to another queue of the topic than this group's, so that it can be removed: else an
/// event could be published to it alone by somebody who does not know of the others yet.
///
/// # Errors
/// [`QueueError::NoQueue`] if there is no other.
pub(super) async fn settle_others(
    database: &Database,
    name: &str,
    topic: &Topic,
    group: &str,
) -> Result<(), QueueError> {
    let own_queue = topic.own_queue_since.filter(|_| !topic.groups_only);
    let groups = topic.groups.iter().filter(|(other, _)| *other != group).map(|(_, group)| group.since);
    match own_queue.into_iter().chain(groups).min() {
        Some(oldest) => Ok(settle_since(database, oldest).await?),
        None => Err(QueueError::NoQueue { topic: name.to_string() }),
    }
}

async fn settle_since(database: &Database, since: i64) -> Result<()> {
    if is_settled(database, since).await? { Ok(()) } else { settle_topics(database).await }
}
