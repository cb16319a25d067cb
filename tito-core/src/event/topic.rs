//! Topics: what is stored of an event type.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::error::{BoxError, Result};
use crate::keeps_unknown_members;
use crate::keys;
use crate::row::{self, StoredRow, UnknownMembers};

use super::id::started_at;
use super::limits::QueueLimits;
use super::queue_name::{queue_name, topic_of};

/// How many partitions a topic gets when it is first used, unless it was created with a different number.
pub const DEFAULT_PARTITIONS: u16 = 16;

/// More changes than a topic can have seen, yet few enough for every program's numbers.
const MOST_CHANGES: u64 = 1 << 53;

/// What is stored of a topic, under `topic:{topic}`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Topic {
    /// How many partitions its events are spread over.
    pub partitions: u16,
    /// How often the topic has changed. Workers that see a new number read their partitions from the beginning.
    #[serde(default, skip_serializing_if = "is_default")]
    pub revision: u64,
    /// The number of partitions before the change under way, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resized_from: Option<u16>,
    /// How many changes of the number of partitions were begun, to tell one from another.
    #[serde(default, skip_serializing_if = "is_default")]
    pub resizes: u64,
    /// The groups, each of which gets every event as well.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", with = "row::nested")]
    pub groups: BTreeMap<String, Group>,
    /// Removed groups whose queues are being deleted, with the revision that removed them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub removed_groups: BTreeMap<String, u64>,
    /// Whether the topic's own queue is paused: workers hand out nothing of it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub paused: bool,
    /// Whether a restore set `paused`; resuming the restore takes it away.
    #[serde(default, skip_serializing_if = "is_default")]
    pub paused_by_restore: bool,
    /// When a worker of the queue is to end the pause, in Unix seconds; `None` if whoever paused it will.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused_until: Option<i64>,
    /// What an operator has set for the topic's own queue.
    #[serde(default, skip_serializing_if = "is_default", with = "row::nested")]
    pub limits: QueueLimits,
    /// Whether events are published only to the groups. A topic without groups uses its own queue nevertheless.
    #[serde(default, skip_serializing_if = "is_default")]
    pub groups_only: bool,
    /// Since when events are published to the topic's own queue again, in Unix seconds, if there was a time when they
    /// were not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub own_queue_since: Option<i64>,
    /// Events with ids of this millisecond or later get a note of their place as soon as they are moved: an event
    /// without one is where it was published, or gone. `None` for a topic that no program which writes such notes has
    /// served yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moves_noted_from: Option<u64>,
    /// For how many seconds events that are done are kept; 0 if they are deleted.
    #[serde(default, skip_serializing_if = "is_default")]
    pub history_seconds: u64,
    /// Roughly how many events that are done are kept in each queue; 0 for any number.
    #[serde(default, skip_serializing_if = "is_default")]
    pub history_events: u64,
    /// For how many seconds dead letters are kept; 0 if for ever.
    #[serde(default, skip_serializing_if = "is_default")]
    pub dead_letter_seconds: u64,
    /// Roughly how many dead letters are kept in each queue; 0 for any number.
    #[serde(default, skip_serializing_if = "is_default")]
    pub dead_letter_events: u64,
    /// Members that a later version of Tito has stored.
    #[serde(skip)]
    pub unknown: UnknownMembers,
}

/// A group of a topic: a separate queue, named `{topic}@{group}`, that every event is published to as well.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// When it was registered, in Unix seconds, as it is stored.
    pub since: i64,
    /// Whether it is paused: workers hand out nothing of it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub paused: bool,
    /// Whether a restore set `paused`; resuming the restore takes it away.
    #[serde(default, skip_serializing_if = "is_default")]
    pub paused_by_restore: bool,
    /// When a worker of the queue is to end the pause, in Unix seconds; `None` if whoever paused it will.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused_until: Option<i64>,
    /// What an operator has set for it.
    #[serde(default, skip_serializing_if = "is_default", with = "row::nested")]
    pub limits: QueueLimits,
    /// While earlier events are being copied into it: the revision of the topic that registered it. Events published
    /// under an earlier revision have to be copied; the others were published to the group as well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub copies_before: Option<u64>,
    /// Members that a later version of Tito has stored.
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

impl Topic {
    /// A topic of which nothing is stored yet.
    pub fn unused() -> Topic {
        Topic { partitions: DEFAULT_PARTITIONS, ..Topic::default() }
    }

    /// The topic that is stored under `key`.
    ///
    /// # Errors
    /// [`TitoError::Malformed`](crate::TitoError::Malformed), which names the key.
    pub fn decode(key: &[u8], bytes: &[u8]) -> Result<Topic> {
        <Self as StoredRow>::decode(key, bytes)
    }

    /// How many partitions may hold events: while their number changes, the larger of the two.
    pub fn served_partitions(&self) -> u16 {
        self.partitions.max(self.resized_from.unwrap_or(0))
    }

    /// Where an entity's events belong.
    pub fn partition_of(&self, entity: &str) -> u16 {
        keys::partition_of(entity, self.partitions)
    }

    /// Whether a change of the number of partitions that moves this entity's events is under way.
    pub fn is_moving(&self, entity: &str) -> bool {
        self.resized_from.is_some_and(|from| keys::partition_of(entity, from) != self.partition_of(entity))
    }

    /// Whether workers hand out nothing of a queue of this topic, `{topic}` or `{topic}@{group}`: because it was
    /// paused, because earlier events, which come first, are being copied into it, or because the topic has no such
    /// group.
    pub fn is_paused(&self, queue: &str) -> bool {
        match topic_of(queue).1 {
            None => self.paused,
            Some(group) => self.groups.get(group).is_none_or(|group| group.paused || group.copies_before.is_some()),
        }
    }

    /// When a worker is to resume a queue of this topic, in Unix seconds, if it is paused for a time.
    pub fn paused_until(&self, queue: &str) -> Option<i64> {
        let (paused, until) = match topic_of(queue).1 {
            None => (self.paused, self.paused_until),
            Some(group) => self.groups.get(group).map(|group| (group.paused, group.paused_until))?,
        };
        until.filter(|_| paused)
    }

    /// What an operator has set for a queue of this topic; `None` for a group that the topic does not have.
    pub fn limits_of(&self, queue: &str) -> Option<&QueueLimits> {
        match topic_of(queue).1 {
            None => Some(&self.limits),
            Some(group) => self.groups.get(group).map(|group| &group.limits),
        }
    }

    /// Whether an event that was moved has a note where it lies, whichever queue it was published to.
    pub fn notes_moves_of(&self, id: Uuid) -> bool {
        self.moves_noted_from.is_some_and(|from| started_at(id).physical_millis() >= from)
    }

    /// Whether events are published to the topic's own queue.
    pub fn has_own_queue(&self) -> bool {
        // Without groups they would be kept nowhere.
        !self.groups_only || self.groups.is_empty()
    }

    /// Whether events have always been published to the topic's own queue.
    pub fn always_had_own_queue(&self) -> bool {
        !self.groups_only && self.own_queue_since.is_none()
    }

    /// Whether events are published to a queue of this topic, `{topic}` or `{topic}@{group}`.
    pub fn is_published_to(&self, queue: &str) -> bool {
        topic_of(queue).1.map_or_else(|| self.has_own_queue(), |group| self.groups.contains_key(group))
    }

    /// The names of the topic's queues, including those that may have something left: its own, and one for each group.
    pub fn queues(&self, name: &str) -> Vec<String> {
        let groups = self.groups.keys().map(|group| queue_name(name, Some(group)));
        std::iter::once(name.to_string()).chain(groups).collect()
    }
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
