//! Registers groups and lists them.

use std::collections::BTreeMap;
use std::sync::Arc;

use tito_core::Result;
use tito_core::event::{DEFAULT_PARTITIONS, Group, Topic, check_group_name, settle_topics};

use super::copy::{copy_earlier_events, delete_marks};
use super::existing::change_topic;
use super::existing::existing_topic;
use super::is_settled;
use crate::error::QueueError;
use crate::queue::TitoQueue;

/// Where a new group begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GroupStart {
    /// With events that are published from now on.
    #[default]
    Now,
    /// With everything that the topic's own queue still has (events that are not done, dead letters, and history), then
    /// with events that are published from now on.
    History,
}

impl TitoQueue {
    /// Adds a group to a topic: a queue of its own, named `{type}@{group}`, that every event is published to as well.
    /// Workers subscribe to it by that name, and it has its own retries and dead letters. Each group costs one more key
    /// for every event.
    ///
    /// Once this returns, the group gets every event that is committed. On an engine with other writing processes that
    /// takes as long as they may use what they have read of the topic: 5 seconds and the engine's
    /// `max_transaction_age`. An existing group stays as it is, and an interrupted call is finished, so a program can
    /// call this whenever it starts.
    ///
    /// With [`GroupStart::History`] the group hands out nothing until all earlier events are copied, in transactions of
    /// at most 200 each. Each is copied once with its id, to its last place, or to the second at which it was published
    /// if a retry had moved it.
    ///
    /// # Errors
    /// [`TitoError::InvalidName`](tito_core::TitoError::InvalidName), and those of the engine: call again to finish.
    pub async fn add_group(&self, topic_name: &str, group: &str, start: GroupStart) -> Result<(), QueueError> {
        check_group_name(group)?;
        Topic::ensure(&self.engine, topic_name, DEFAULT_PARTITIONS).await?;
        let registered = loop {
            let topic = self.register(topic_name, group, start).await?;
            if let Some(registered) = topic.groups.get(group) {
                break registered.clone();
            }
            // Its old queue is still being deleted.
            self.finish_removal(topic_name, group, &topic).await?;
        };
        Ok(self.finish_adding(topic_name, group, &registered).await?)
    }

    /// Waits until a group that was registered gets every event, and copies earlier ones into it if it is to have them.
    pub(super) async fn finish_adding(&self, topic_name: &str, group: &str, registered: &Group) -> Result<()> {
        if !is_settled(&self.engine, registered.since).await? {
            settle_topics(&self.engine).await?;
        }
        if let Some(before) = registered.copies_before {
            copy_earlier_events(self, topic_name, group, before).await?;
        }
        delete_marks(&self.engine, topic_name, group).await
    }

    async fn register(&self, topic_name: &str, group: &str, start: GroupStart) -> Result<Arc<Topic>, QueueError> {
        let group = group.to_string();
        change_topic(&self.engine, topic_name, |mut topic, tx| async move {
            if topic.groups.contains_key(&group) || topic.removed_groups.contains_key(&group) {
                return Ok(None);
            }
            let copies_before = (start == GroupStart::History).then_some(topic.revision + 1);
            let since = tx.now().seconds();
            topic.groups.insert(group, Group { since, copies_before, ..Group::default() });
            Ok(Some(topic))
        })
        .await
    }

    /// The groups of a topic by name.
    ///
    /// # Errors
    /// [`TitoError::InvalidName`](tito_core::TitoError::InvalidName),
    /// [`QueueError::UnknownTopic`](crate::QueueError::UnknownTopic), and those of the engine.
    pub async fn groups(&self, topic_name: &str) -> Result<BTreeMap<String, Group>, QueueError> {
        Ok(existing_topic(&self.engine, topic_name).await?.groups.clone())
    }
}
