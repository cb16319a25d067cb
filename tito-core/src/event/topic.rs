//! Topics: what is stored of an event type.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::database::{Database, Transaction};
use crate::engine::Signal;
use crate::error::{BoxError, Result, TitoError};
use crate::keeps_unknown_members;
use crate::keys;
use crate::names;
use crate::row::{self, StoredRow, UnknownMembers};

use super::id::started_at;
use super::queue_name::{queue_name, topic_of};
use super::topic_cache::TopicCache;
use super::unknown_topic::unknown_topic;

/// How many partitions a topic gets when it is first used, unless it was created with another number.
pub const DEFAULT_PARTITIONS: u16 = 16;

/// More changes than a topic can have seen, and few enough for every program's numbers.
const MOST_CHANGES: u64 = 1 << 53;

/// What is stored of an event type, under `topic:{type}`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Topic {
    /// How many partitions its events are spread over.
    pub partitions: u16,
    /// How often the topic was changed. Workers that see a new number read their partitions from the beginning.
    #[serde(default, skip_serializing_if = "is_default")]
    pub revision: u64,
    /// The number of partitions before the change that is under way, if one is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resized_from: Option<u16>,
    /// How many changes of the number of partitions were begun, which tells one from another.
    #[serde(default, skip_serializing_if = "is_default")]
    pub resizes: u64,
    /// The groups, each of which gets every event as well.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", with = "row::nested")]
    pub groups: BTreeMap<String, Group>,
    /// Groups that get no more events and whose queues are being deleted, with the revision that removed them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub removed_groups: BTreeMap<String, u64>,
    /// Whether workers hand out nothing of the topic's own queue.
    #[serde(default, skip_serializing_if = "is_default")]
    pub paused: bool,
    /// Whether events are published to the groups alone. A topic without groups has its own queue nevertheless.
    #[serde(default, skip_serializing_if = "is_default")]
    pub groups_only: bool,
    /// Since when events are published to the topic's own queue again, in Unix seconds, if ever they were not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub own_queue_since: Option<i64>,
    /// Events whose ids are of this millisecond or later have a note where they lie as soon as they are moved: one without
    /// is where it was published, or gone. `None` in a topic that no program has served yet which writes such notes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moves_noted_from: Option<u64>,
    /// How many seconds events that are done are kept; 0 if they are deleted.
    #[serde(default, skip_serializing_if = "is_default")]
    pub history_seconds: u64,
    /// What a later version of Tito has stored of it beside these.
    #[serde(skip)]
    pub unknown: UnknownMembers,
}

/// A group of a topic: a queue of its own, named `{type}@{group}`, that every event is published to as well.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// When it was registered, in Unix seconds, as it is stored.
    pub since: i64,
    /// Whether workers hand out nothing of it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub paused: bool,
    /// While earlier events are being copied into it: the revision of the topic that registered it. Events that were
    /// published under an earlier one have to be copied, the others were published to the group as well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub copies_before: Option<u64>,
    /// What a later version of Tito has stored of it beside these.
    #[serde(skip)]
    pub unknown: UnknownMembers,
}

keeps_unknown_members!(Topic, Group);

impl StoredRow for Topic {
    const EXPECTED: &'static str = "a topic in JSON with 1 to 10,000 partitions and less than 2^53 changes";

    fn check(&self) -> Result<(), BoxError> {
        for partitions in [Some(self.partitions), self.resized_from].into_iter().flatten() {
            if partitions == 0 || partitions > keys::MAX_PARTITIONS {
                return Err(format!("{partitions} partitions").into());
            }
        }
        // Each is raised by one now and then, which must not overflow.
        for changes in [self.revision, self.resizes] {
            if changes >= MOST_CHANGES {
                return Err(format!("{changes} changes").into());
            }
        }
        Ok(())
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// The channel on which it is told that a topic was created or changed.
pub fn topic_channel(name: &str) -> String {
    // No queue has a name with a colon.
    format!("topic:{name}")
}

/// Tells this process of a change, once it is committed.
fn tell(tx: &Transaction, name: &str) {
    tx.signal(Signal { channel: topic_channel(name).into(), number: 0, payload: Vec::new() });
}

/// The topics that this process has read lately.
fn topics(database: &Database) -> Arc<TopicCache> {
    database.shared().value()
}

impl Topic {
    /// The topic, created with `partitions` partitions if it did not exist. The number of an existing topic stays.
    ///
    /// # Errors
    /// [`TitoError::InvalidName`] for a name that can't be a topic, [`TitoError::OutOfRange`] for a number of
    /// partitions out of 1 to 10,000, and those of the engine.
    pub async fn ensure(database: &Database, name: &str, partitions: u16) -> Result<Arc<Topic>> {
        names::check_event_type(name)?;
        let key = keys::topic(name);
        check_partitions(&key, partitions)?;
        let new = Topic { partitions, moves_noted_from: Some(0), ..Topic::default() };
        let value = new.encode()?;
        // From before the read: what is kept is never taken as current for longer than it should be.
        let read_at = database.clock().monotonic_millis();
        let transaction = database.transaction(|tx| async move {
            if let Some(stored) = tx.get(&key).await? {
                return Topic::decode(&key, &stored);
            }
            tx.system_keys().insert(key, value).await?;
            tell(&tx, name);
            Ok(new)
        });
        // On the heap: every write of an event can come here, and few do.
        let topic = Box::pin(transaction).await?;
        Ok(topics(database).store(name, topic, read_at))
    }

    /// The topic, from the cache if it was read within the last 5 seconds, created with 16 partitions if it did not
    /// exist.
    ///
    /// # Errors
    /// As [`Topic::ensure`].
    pub async fn cached(database: &Database, name: &str) -> Result<(Arc<str>, Arc<Topic>)> {
        if let Some(known) = topics(database).load(name, database.clock().monotonic_millis()) {
            return Ok(known);
        }
        Ok((name.into(), Topic::ensure(database, name, DEFAULT_PARTITIONS).await?))
    }

    /// The topic as it is stored, if there is one.
    ///
    /// # Errors
    /// [`TitoError::InvalidName`] for a name that can't be a topic, and those of the engine.
    pub async fn find(database: &Database, name: &str) -> Result<Option<Arc<Topic>>> {
        names::check_event_type(name)?;
        let key = keys::topic(name);
        let read_at = database.clock().monotonic_millis();
        let transaction = database.transaction(|tx| async move {
            let stored = tx.get(&key).await?;
            stored.map(|stored| Topic::decode(&key, &stored)).transpose()
        });
        let found = Box::pin(transaction).await?;
        Ok(found.map(|topic| topics(database).store(name, topic, read_at)))
    }

    /// The topic as it is stored.
    ///
    /// # Errors
    /// As [`Topic::find`], and [`TitoError::UnknownTopic`] if there is none.
    pub async fn existing(database: &Database, name: &str) -> Result<Arc<Topic>> {
        match Topic::find(database, name).await? {
            Some(topic) => Ok(topic),
            None => Err(unknown_topic(database, name).await?),
        }
    }

    /// As [`Topic::existing`], from the cache if it was read within the last 5 seconds.
    ///
    /// # Errors
    /// As [`Topic::existing`].
    pub async fn cached_existing(database: &Database, name: &str) -> Result<Arc<Topic>> {
        match topics(database).load(name, database.clock().monotonic_millis()) {
            Some((_, known)) => Ok(known),
            None => Topic::existing(database, name).await,
        }
    }

    /// Changes a topic that there is in a transaction: `change` gets the topic as it is and the transaction, and says
    /// whether it changed it. Returns what is stored afterwards.
    ///
    /// Writers of other processes go by what they have read for [`CACHED`](super::CACHED) longer.
    ///
    /// # Errors
    /// Those of [`Topic::existing`], and those of `change`.
    pub async fn change<F, Fut>(database: &Database, name: &str, change: F) -> Result<Arc<Topic>>
    where
        F: FnOnce(Topic, Transaction) -> Fut + Clone + Send,
        Fut: Future<Output = Result<Option<Topic>>> + Send,
    {
        Topic::existing(database, name).await?;
        let owned_name = name.to_string();
        let read_at = database.clock().monotonic_millis();
        let transaction = database.transaction(|tx| async move {
            let stored = Topic::read(&tx, &owned_name).await?;
            match change(stored.clone(), tx.clone()).await? {
                None => Ok(stored),
                Some(changed) => changed.put(&tx, &owned_name, stored.revision).await,
            }
        });
        let topic = Box::pin(transaction).await?;
        Ok(topics(database).store(name, topic, read_at))
    }

    /// Gives the topic a new revision in this transaction, so that workers read their partitions from the beginning:
    /// for a transaction that stores events where workers do not look for new ones. Of two such transactions one meets
    /// a conflict. Returns the topic.
    ///
    /// # Errors
    /// As [`Topic::read`].
    pub async fn raise_revision(tx: &Transaction, name: &str) -> Result<Topic> {
        let topic = Topic::read(tx, name).await?;
        let revision = topic.revision;
        topic.put(tx, name, revision).await
    }

    async fn put(mut self, tx: &Transaction, name: &str, revision: u64) -> Result<Topic> {
        let key = keys::topic(name);
        check_partitions(&key, self.partitions)?;
        self.revision = revision + 1;
        tx.system_keys().put(key, self.encode()?).await?;
        tell(tx, name);
        Ok(self)
    }

    /// The topic as a transaction sees it; one that was never used has the default number of partitions.
    ///
    /// # Errors
    /// [`TitoError::Malformed`], and those of the engine.
    pub async fn read(tx: &Transaction, name: &str) -> Result<Topic> {
        let key = keys::topic(name);
        match tx.get(&key).await? {
            Some(stored) => Topic::decode(&key, &stored),
            None => Ok(Topic::unused()),
        }
    }

    /// A topic of which nothing is stored yet.
    pub fn unused() -> Topic {
        Topic { partitions: DEFAULT_PARTITIONS, ..Topic::default() }
    }

    /// The topic that is stored under `key`.
    ///
    /// # Errors
    /// [`TitoError::Malformed`], which names the key.
    pub fn decode(key: &[u8], bytes: &[u8]) -> Result<Topic> {
        <Self as StoredRow>::decode(key, bytes)
    }

    /// How many partitions may hold events: while their number changes the larger of both.
    pub fn served_partitions(&self) -> u16 {
        self.partitions.max(self.resized_from.unwrap_or(0))
    }

    /// Where an entity's events belong.
    pub fn partition_of(&self, entity: &str) -> u16 {
        keys::partition_of(entity, self.partitions)
    }

    /// Whether a change of the number of partitions is under way that moves this entity's events.
    pub fn is_moving(&self, entity: &str) -> bool {
        self.resized_from.is_some_and(|from| keys::partition_of(entity, from) != self.partition_of(entity))
    }

    /// Whether workers hand out nothing of a queue of this topic, `{type}` or `{type}@{group}`: it was paused, earlier
    /// events are being copied into it, which come first, or the topic has no such group.
    pub fn is_paused(&self, queue: &str) -> bool {
        match topic_of(queue).1 {
            None => self.paused,
            Some(group) => self.groups.get(group).is_none_or(|group| group.paused || group.copies_before.is_some()),
        }
    }

    /// Whether an event that was moved has a note where it lies, be it published to which queue it may.
    pub fn notes_moves_of(&self, id: Uuid) -> bool {
        self.moves_noted_from.is_some_and(|from| started_at(id).physical_millis() >= from)
    }

    /// Whether events are published to the topic's own queue.
    pub fn has_own_queue(&self) -> bool {
        // Without groups they would be kept nowhere.
        !self.groups_only || self.groups.is_empty()
    }

    /// Whether events were published to the topic's own queue all the time.
    pub fn always_had_own_queue(&self) -> bool {
        !self.groups_only && self.own_queue_since.is_none()
    }

    /// Whether events are published to a queue of this topic, `{type}` or `{type}@{group}`.
    pub fn is_published_to(&self, queue: &str) -> bool {
        topic_of(queue).1.map_or_else(|| self.has_own_queue(), |group| self.groups.contains_key(group))
    }

    /// The names of the topic's queues, those of which something may be left included: its own, and one for each group.
    pub fn queues(&self, name: &str) -> Vec<String> {
        let groups = self.groups.keys().map(|group| queue_name(name, Some(group)));
        std::iter::once(name.to_string()).chain(groups).collect()
    }
}

fn check_partitions(key: &[u8], partitions: u16) -> Result<()> {
    if (1..=keys::MAX_PARTITIONS).contains(&partitions) {
        return Ok(());
    }
    Err(TitoError::OutOfRange {
        what: "a number of partitions",
        found: partitions.to_string(),
        expected: format!("1 to {}", keys::MAX_PARTITIONS),
        key: key.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_whose_counts_would_overflow_is_malformed() {
        let read = |text: String| Topic::decode(b"topic:job", text.as_bytes());
        for count in ["revision", "resizes"] {
            assert!(read(format!(r#"{{"partitions":1,"{count}":9007199254740991}}"#)).is_ok());
            for changes in [1 << 53, u64::MAX] {
                let error =
                    read(format!(r#"{{"partitions":1,"{count}":{changes}}}"#)).map_err(|error| error.to_string());
                assert!(error.is_err_and(|text| text.contains("topic:job")), "{count} {changes}");
            }
        }
    }
}
