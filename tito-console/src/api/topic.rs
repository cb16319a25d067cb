//! Topics, their queues, and how many events there are.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A topic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Topic {
    /// Its name, which its own queue has too.
    pub name: String,
    /// How many partitions its events are spread over.
    pub partitions: u16,
    /// The number of partitions before the change under way, if there is one.
    #[serde(default)]
    pub resized_from: Option<u16>,
    /// Its groups by name.
    #[serde(default)]
    pub groups: BTreeMap<String, Group>,
    /// Groups whose queues are being deleted.
    #[serde(default)]
    pub removed_groups: Vec<String>,
    /// Whether its own queue is paused.
    #[serde(default)]
    pub is_paused: bool,
    /// Whether a restore has paused it.
    #[serde(default)]
    pub is_paused_by_restore: bool,
    /// Whether events are published only to its groups.
    #[serde(default)]
    pub groups_only: bool,
    /// How many seconds events that are done are kept; 0 if they are deleted.
    #[serde(default)]
    pub history_seconds: u64,
    /// How many of them are kept in each queue; 0 for any number.
    #[serde(default)]
    pub history_events: u64,
    /// How many seconds dead letters are kept; 0 if for ever.
    #[serde(default)]
    pub dead_letter_seconds: u64,
    /// How many of them are kept in each queue; 0 for any number.
    #[serde(default)]
    pub dead_letter_events: u64,
    /// How often it was changed.
    #[serde(default)]
    pub revision: u64,
}

/// A group of a topic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// The name of its queue: `{topic}@{group}`.
    pub queue: String,
    /// When it was registered.
    pub since: i64,
    /// Whether it is paused.
    #[serde(default)]
    pub is_paused: bool,
    /// Whether a restore has paused it.
    #[serde(default)]
    pub is_paused_by_restore: bool,
    /// Whether earlier events are being copied into it; workers hand out nothing of it until they are.
    #[serde(default)]
    pub is_copying: bool,
}

/// How many partitions a topic is to get.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resize {
    /// From 1 to 10,000.
    pub partitions: u16,
}

/// Where a new group begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GroupStart {
    /// With events that are published from now on.
    #[default]
    Now,
    /// With everything that is still kept.
    History,
}

/// A group that is to be added.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewGroup {
    /// Where it begins.
    #[serde(default)]
    pub start: GroupStart,
}

/// How far to count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatsQuery {
    /// How many events of a kind are counted in each partition, at most 10,000. By default 400 rows are counted in all,
    /// shared among the partitions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// How fast a queue is handled, in place of what its subscriptions say. What is omitted is left to them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// How many events all workers of the queue together hand out in a time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<Rate>,
    /// How many handlers run at once in each worker, at least 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<u32>,
}

/// A rate: at most this many events in a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rate {
    /// How many, at least 1.
    pub events: u32,
    /// In how many seconds, at least 1.
    pub seconds: u32,
}

/// For how long a queue is paused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pause {
    /// Until when; by default until it is resumed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<i64>,
}

/// How much of a topic is kept, in each of its queues. What is omitted stays as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kept {
    /// For how many seconds finished events are kept; 0 for not at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub history_seconds: Option<u64>,
    /// How many finished events are kept; 0 for any number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub history_events: Option<u64>,
    /// For how long dead letters are kept, and how many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dead_letters: Option<KeptLetters>,
}

/// How many dead letters are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeptLetters {
    /// For how many seconds; by default for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds: Option<u64>,
    /// How many; by default any number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub events: Option<u64>,
}

/// What is in a queue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueStats {
    /// The queue's name.
    pub queue: String,
    /// When it was counted.
    pub counted_at: i64,
    /// Whether its workers hand out nothing.
    pub is_paused: bool,
    /// Until when it is paused, if that was said.
    #[serde(default)]
    pub paused_until: Option<i64>,
    /// What an operator has set in place of what its subscriptions say.
    #[serde(default)]
    pub limits: Limits,
    /// Whether events are published to it.
    pub is_published_to: bool,
    /// How many events its fleet had in hand at its members' last heartbeats.
    #[serde(default)]
    pub in_flight: u64,
    /// How much is due.
    #[serde(default)]
    pub backlog: Backlog,
    /// All of it together.
    pub total: Counts,
    /// Each partition, in ascending order.
    #[serde(default)]
    pub partitions: Vec<PartitionStats>,
}

/// What is due in a queue, handled at the moment or not: counted, however much there is, or a part of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Backlog {
    /// How many events.
    pub count: u64,
    /// Whether there may be more than were counted.
    pub at_least: bool,
    /// For how long the one has been due that fell due first.
    pub oldest_due_seconds: Option<u64>,
    /// When it was counted.
    pub as_of: i64,
    /// Whether the owners of its partitions have counted it, where several processes write.
    pub by_owners: bool,
}

/// What is in one partition of a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionStats {
    /// The partition.
    pub partition: u16,
    /// What is in it.
    pub counts: Counts,
}

/// How many events there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Counts {
    /// Not done: those due, scheduled, retrying and malformed together.
    pub pending: u64,
    /// Due by now, handled at the moment or not.
    pub due: u64,
    /// Waiting for their time.
    pub scheduled: u64,
    /// Waiting for their next attempt.
    pub retrying: u64,
    /// Stored bytes that are no events.
    pub malformed: u64,
    /// Failed for good.
    pub dead: u64,
    /// Done, and kept as history.
    pub done: u64,
    /// How many seconds the oldest due event has been due.
    pub oldest_due_seconds: Option<u64>,
    /// Whether there are more than were counted.
    pub is_capped: bool,
}
