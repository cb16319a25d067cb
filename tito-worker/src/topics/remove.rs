//! Removes a group with all that it has.

use std::sync::Arc;

use tito_core::database::walk_in_steps;
use tito_core::event::{Topic, check_group_name, queue_name, settle_topics};
use tito_core::keys::KeyRange;
use tito_core::{Database, Result, Transaction};

use super::existing::change_topic;
use super::own_queue::settle_others;
use crate::error::QueueError;
use crate::keys;
use crate::place::Old;
use crate::queue::TitoQueue;

impl TitoQueue {
    /// Removes a group from a topic, with its events, dead letters and history, in transactions of at most 200 keys
    /// each. Waits first, as [`add_group`](TitoQueue::add_group) does, until nobody publishes to it any more. Does
    /// nothing if there is no such group; finishes a call that was interrupted.
    ///
    /// # Errors
    /// [`QueueError::NoQueue`](crate::QueueError::NoQueue) for the last group of a topic that has
    /// [no queue of its own](TitoQueue::set_groups_only); [`TitoError::InvalidName`](tito_core::TitoError::InvalidName),
    /// [`QueueError::UnknownTopic`](crate::QueueError::UnknownTopic), and those of the engine: call again to finish.
    pub async fn remove_group(&self, topic_name: &str, group: &str) -> Result<(), QueueError> {
        check_group_name(group)?;
        // The revision of which other queues have settled, where the topic may have none that always was there.
        let mut settled = None;
        let topic = loop {
            let name = group.to_string();
            let topic = change_topic(&self.engine, topic_name, |mut topic, _| async move {
                let may_be_removed = topic.always_had_own_queue() || settled == Some(topic.revision);
                if !may_be_removed || topic.groups.remove(&name).is_none() {
                    return Ok(None);
                }
                topic.removed_groups.insert(name, topic.revision + 1);
                Ok(Some(topic))
            });
            let topic = topic.await?;
            if !topic.groups.contains_key(group) {
                break topic;
            }
            settle_others(&self.engine, topic_name, &topic, group).await?;
            settled = Some(topic.revision);
        };
        Ok(self.finish_removal(topic_name, group, &topic).await?)
    }

    /// Deletes what a group had that was taken out of its topic.
    pub(super) async fn finish_removal(&self, topic_name: &str, group: &str, topic: &Topic) -> Result<()> {
        let Some(&removal) = topic.removed_groups.get(group) else { return Ok(()) };
        settle_topics(&self.engine).await?;
        let name = group.to_string();
        // Else the group could have been added again, when another call has ended the removal.
        let is_removed = move |topic: &Topic| topic.removed_groups.get(&name) == Some(&removal);
        let delete = |range| delete_while(&self.engine, topic_name, range, is_removed.clone());
        let queue = queue_name(topic_name, Some(group));
        // A worker that still has one of its events can only put it off to a later place: nothing is left once all was
        // read without a find. Then nothing can become dead or done either.
        while delete(keys::events_of_queue(&queue)).await? > 0 {}
        let rest = [
            keys::dead_events(&queue),
            keys::done_events(&queue),
            keys::low_watermarks(&queue),
            keys::leases(&queue),
            keys::copied_events(&queue),
            keys::moved_events(&queue),
        ];
        for range in rest {
            delete(range).await?;
        }
        let name = group.to_string();
        change_topic(&self.engine, topic_name, |mut topic, _| async move {
            if topic.removed_groups.get(&name) != Some(&removal) {
                return Ok(None);
            }
            topic.removed_groups.remove(&name);
            Ok(Some(topic))
        })
        .await?;
        Ok(())
    }
}

/// Deletes what lies in a range, as long as the topic is as `is_wanted` says, which cannot change before the deletion is
/// committed. Returns how much there was.
pub(super) async fn delete_while(
    database: &Database,
    topic_name: &str,
    range: KeyRange,
    is_wanted: impl Fn(&Topic) -> bool + Send + Sync,
) -> Result<u64> {
    let (topic_name, is_wanted) = (Arc::<str>::from(topic_name), Arc::new(is_wanted));
    walk_in_steps(database, range, move |tx: Transaction, page| {
        let (topic_name, is_wanted) = (topic_name.clone(), is_wanted.clone());
        async move {
            let topic = Topic::read(&tx, &topic_name).await?;
            tx.lock_keys(vec![keys::topic(&topic_name)]).await?;
            if !is_wanted(&topic) {
                return Ok(0);
            }
            let deleted = page.len() as u64;
            for (key, value) in page {
                Old::row(&key, &value).delete(&tx).await?;
            }
            Ok(deleted)
        }
    })
    .await
}
