//! Copies earlier events into a new group.
//!
//! Which events those are, their values tell: an event that was published under a revision of its topic before the one
//! that registered the group was not published to the group, every other was. All of them are committed when copying
//! begins, as registering has settled the topic.
//!
//! They move while they are copied: they are retried, dead-lettered, done. So the queues are read in the order in which
//! events go through them, and each event is copied together with a mark under its id, which keeps it from being copied
//! again where it turns up once more, by this copier or another. What moves an event the other way, such as a redrive
//! of dead letters or a change of the number of partitions, raises the topic's revision: then everything is read once
//! more.
//!
//! Every step locks the topic, so none can be committed after the copying was ended or the group removed.

use std::collections::HashSet;
use std::sync::Arc;

use tito_core::database::walk_in_steps;
use tito_core::engine::KeyValue;
use tito_core::event::{TitoEvent, Topic, queue_name};
use tito_core::{Database, Result, Transaction};

use super::existing::change_topic;
use super::remove::delete_while;
use super::{read_topic, unknown_group};
use crate::again::{self, Again};
use crate::keys;
use crate::place::Kind;
use crate::queue::TitoQueue;

/// Copies everything that was published before the revision `before`, and then lets the group be handed out.
pub(super) async fn copy_earlier_events(topics: &TitoQueue, topic_name: &str, group: &str, before: u64) -> Result<()> {
    let database = &topics.engine;
    let copier = Arc::new(Copier {
        topic_name: topic_name.to_string(),
        group: group.to_string(),
        before,
        queue: queue_name(topic_name, Some(group)).into(),
    });
    loop {
        // Its revision is raised once everything was moved.
        Box::pin(topics.finish_resize(topic_name)).await?;
        let topic = read_topic(database, topic_name).await?;
        if topic.resized_from.is_some() {
            continue;
        }
        // In the order in which events go through them.
        for kind in [Kind::Pending, Kind::Dead, Kind::Done] {
            let copier = copier.clone();
            walk_in_steps(database, kind.of_queue(topic_name), move |tx: Transaction, page| {
                let copier = copier.clone();
                async move { copier.copy(&tx, page).await }
            })
            .await?;
        }
        if copier.end(database, topic.revision).await? {
            return Ok(());
        }
    }
}

struct Copier {
    topic_name: String,
    group: String,
    before: u64,
    queue: Arc<str>,
}

impl Copier {
    /// Whether the group's events are still being copied, which cannot change until this transaction is committed.
    async fn is_wanted(&self, tx: &Transaction, topic: &Topic) -> Result<bool> {
        let group = topic.groups.get(&self.group).ok_or_else(|| unknown_group(&self.topic_name, &self.group))?;
        tx.lock_keys(vec![keys::topic(&self.topic_name)]).await?;
        Ok(group.copies_before == Some(self.before))
    }

    async fn copy(&self, tx: &Transaction, page: Vec<KeyValue>) -> Result<u64> {
        let topic = Topic::read(tx, &self.topic_name).await?;
        if !self.is_wanted(tx, &topic).await? {
            return Ok(0);
        }
        // What is no event has nobody to be handed to.
        let decoded = page.into_iter().filter_map(|(key, value)| TitoEvent::decode(&key, &value).ok());
        let mut seen = HashSet::new();
        let earlier: Vec<_> = decoded.filter(|event| event.revision < self.before && seen.insert(event.id)).collect();
        let marks: Vec<_> = earlier.iter().map(|event| keys::copied_event(&self.queue, event.id)).collect();
        let marked = tx.batch_get(marks.clone()).await?;
        let mut copied = 0;
        for ((event, mark), _) in earlier.into_iter().zip(marks).zip(marked).filter(|(_, marked)| marked.is_none()) {
            // Whoever cancels the event meanwhile meets a conflict, and then finds the copy too.
            tx.lock_keys(vec![event.key.clone()]).await?;
            tx.system_keys().put(mark, b"{}".to_vec()).await?;
            again::put(tx, &self.queue, &topic, &Again::Copied.applied_to(event), None).await?;
            copied += 1;
        }
        Ok(copied)
    }

    /// Ends the copying, unless the topic was changed since it had this revision. Returns whether it is at its end.
    async fn end(&self, database: &Database, revision: u64) -> Result<bool> {
        let (group, before) = (self.group.to_string(), self.before);
        let topic = change_topic(database, &self.topic_name, |mut topic, _| async move {
            let is_unchanged = topic.revision == revision;
            match topic.groups.get_mut(&group) {
                Some(group) if is_unchanged && group.copies_before == Some(before) => group.copies_before = None,
                _ => return Ok(None),
            }
            Ok(Some(topic))
        })
        .await?;
        let group = topic.groups.get(&self.group).ok_or_else(|| unknown_group(&self.topic_name, &self.group))?;
        Ok(group.copies_before != Some(before))
    }
}

/// Deletes the marks of a group into which nothing is being copied any more.
pub(super) async fn delete_marks(database: &Database, topic_name: &str, group: &str) -> Result<()> {
    let marks = keys::copied_events(&queue_name(topic_name, Some(group)));
    let group = group.to_string();
    let is_copied = move |topic: &Topic| topic.groups.get(&group).is_some_and(|group| group.copies_before.is_none());
    delete_while(database, topic_name, marks, is_copied).await.map(|_| ())
}
