//! Event stores.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// An event store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Store {
    /// Its name.
    pub name: String,
    /// Its description for people.
    #[serde(default)]
    pub description: String,
    /// Its metadata.
    #[serde(default)]
    pub metadata: BTreeMap<String, String>,
    /// The first sequence that was not dropped.
    pub first_sequence: u64,
    /// The last sequence, 0 before the first event.
    pub last_sequence: u64,
    /// How many events there are.
    pub events: u64,
    /// The bytes of these.
    pub bytes: u64,
}

/// Which events of a store.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreQuery {
    /// A pattern: `type`, `type.id`, `type.id.event_type`, with `*` at any place. By default all events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub select: Option<String>,
    /// Only those after this sequence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<u64>,
    /// How many at most: 100 unless said otherwise, 1,000 at most; of a tail, as many as there will be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// An event of a store.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StoreEvent {
    /// Its place in the order of the store.
    pub sequence: u64,
    /// Its id.
    pub id: String,
    /// What it is about: `type.id`.
    pub entity: String,
    /// What happened.
    pub event_type: String,
    /// The version of its type.
    pub version: u32,
    /// How its data is written: `JSON`, `MessagePack` and others.
    pub codec: String,
    /// When it happened, in Unix milliseconds.
    pub time_millis: i64,
    /// Its metadata.
    #[serde(default)]
    pub metadata: BTreeMap<String, String>,
    /// Its data, if that is JSON.
    #[serde(default)]
    pub data: Option<Box<RawValue>>,
    /// How many bytes its data has.
    pub data_bytes: u64,
}

/// How far a projection is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Projection {
    /// Its name.
    pub name: String,
    /// All selected events up to this sequence are in the rows.
    pub checkpoint: u64,
    /// The last sequence of the store.
    pub last_sequence: u64,
    /// What stops it: the event's sequence, and the error.
    #[serde(default)]
    pub failure: Option<ProjectionFailure>,
    /// How far a rebuild is, if one is under way.
    #[serde(default)]
    pub rebuilt_to: Option<u64>,
    /// What stops the rebuild.
    #[serde(default)]
    pub rebuild_failure: Option<ProjectionFailure>,
}

/// Why a projection is stopped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProjectionFailure {
    /// The event's sequence.
    pub sequence: u64,
    /// The error.
    pub error: String,
}

/// How far a reactor is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reactor {
    /// Its name.
    pub name: String,
    /// All selected events up to this sequence are done, or in its topic, except for those that are `open`.
    pub position: u64,
    /// How many events up to there were handed to handlers and are not known to be done.
    pub open: u64,
    /// The last sequence of the store.
    pub last_sequence: u64,
}

/// Where a reactor starts again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReplayFrom {
    /// With the first event that the store still has.
    First,
    /// With the last event there is.
    Last,
    /// With events that are appended from now on.
    New,
    /// With the event of this sequence.
    Sequence(u64),
    /// With the first event that was appended at this time or later.
    Time(i64),
}

/// How a reactor is replayed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReplayReactor {
    /// Where it begins.
    pub from: ReplayFrom,
}
