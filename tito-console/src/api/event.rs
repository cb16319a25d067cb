//! Events of topics.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use uuid::Uuid;

/// An event.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Event {
    /// Its id.
    pub id: Uuid,
    /// Its type, which is its topic.
    #[serde(rename = "type")]
    pub event_type: String,
    /// What it is about.
    pub entity: String,
    /// Who it belongs to, if its publisher said so.
    #[serde(default)]
    pub owner: Option<String>,
    /// What happened.
    pub action: String,
    /// When it falls due. With the type, the entity and the id it names the event.
    pub timestamp: i64,
    /// When it may be tried again, if a strict subscription has postponed it in its place.
    #[serde(default)]
    pub not_before: Option<i64>,
    /// How many attempts have failed so far.
    #[serde(default)]
    pub failed_attempts: u32,
    /// Small texts beside the payload.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// The payload, or what the server's redaction made of it.
    #[serde(default)]
    pub payload: Option<Box<RawValue>>,
    /// The latest failed attempts, oldest first.
    #[serde(default)]
    pub failures: Vec<FailedAttempt>,
    /// How far an earlier attempt got.
    #[serde(default)]
    pub progress: Option<Box<RawValue>>,
    /// Its finished steps, oldest first.
    #[serde(default)]
    pub steps: Vec<Step>,
    /// The id of the event that it was published for, if a handler published it.
    #[serde(default)]
    pub causation_id: Option<String>,
    /// How it was done, for an event in the history.
    #[serde(default)]
    pub done: Option<Completion>,
    /// How many processes have died while it alone was being handled; an event with a number runs alone.
    #[serde(default)]
    pub deaths: Option<u32>,
}

/// An attempt that failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedAttempt {
    /// Which one, counted from 1.
    pub attempt: u32,
    /// When it ended.
    pub timestamp: i64,
    /// What the handler said.
    pub error: String,
    /// The same for errors that differ only in numbers, ids and quoted texts.
    #[serde(default)]
    pub fingerprint: Option<String>,
    /// The worker.
    #[serde(default)]
    pub worker: Option<Uuid>,
    /// For how many milliseconds the handler ran.
    #[serde(default)]
    pub duration_millis: Option<u64>,
}

/// How an event was done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Completion {
    /// What the handler made of it.
    pub outcome: String,
    /// The worker.
    #[serde(default)]
    pub worker: Option<Uuid>,
    /// For how many milliseconds the handler ran.
    #[serde(default)]
    pub duration_millis: Option<u64>,
}

/// A step of an event that was done.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Step {
    /// With which attempt, counted from 1.
    pub attempt: u32,
    /// When.
    pub timestamp: i64,
    /// What its payload was.
    #[serde(default)]
    pub payload: Option<Box<RawValue>>,
}

/// What an event that has not been done waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum PendingState {
    /// It is due.
    Due,
    /// For its time.
    Scheduled,
    /// For its next attempt.
    Retrying,
    /// The stored bytes are no event.
    Malformed,
    /// One that a later version says.
    #[serde(other)]
    Unknown,
}

/// An event that has not been done.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PendingEvent {
    /// Where it is stored, as [`encode_key`](super::encode_key) writes it.
    pub key: String,
    /// What it waits for.
    pub state: PendingState,
    /// When it is handed out at the earliest.
    pub due: i64,
    /// The event; `None` if the stored bytes are none.
    #[serde(default)]
    pub event: Option<Event>,
    /// The version of its payload, where it is later than all that the workers know who serve the queue.
    #[serde(default)]
    pub later_version: Option<u32>,
    /// The stored bytes as text, as far as they are, where they are no event.
    #[serde(default)]
    pub bytes: Option<String>,
}

/// Where an event was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FoundIn {
    /// It has not been done.
    Pending,
    /// It failed for good.
    Dead,
    /// It was done, and is kept as history.
    Done,
    /// One that a later version says.
    #[serde(other)]
    Unknown,
}

/// An event that was found in one queue.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FoundEvent {
    /// The queue: the topic's own, or a group's.
    pub queue: String,
    /// Where it was found.
    pub found_in: FoundIn,
    /// Of one that has not been done, what it waits for.
    #[serde(default)]
    pub state: Option<PendingState>,
    /// Where it is stored.
    pub key: String,
    /// The event; `None` if the stored bytes are none.
    #[serde(default)]
    pub event: Option<Event>,
}

/// Where an event was published, in queries: with both it is found without reading its topic.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventAt {
    /// What it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entity: Option<String>,
    /// When it fell due as it was published.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<i64>,
}

/// When an event is to be due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Due {
    /// At once if that is past.
    pub at: i64,
}

/// An event that is to be published.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PublishEvent {
    /// What it is about.
    pub entity: String,
    /// What happened: `publish` unless said otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    /// When it is due: at once unless said otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<i64>,
    /// Small texts beside the payload.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// To whom it belongs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// Any JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<Box<RawValue>>,
}

/// What names an event that was published or rescheduled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Published {
    /// Its type.
    #[serde(rename = "type")]
    pub event_type: String,
    /// What it is about.
    pub entity: String,
    /// When it falls due.
    pub timestamp: i64,
    /// Its id.
    pub id: Uuid,
}

/// An event that was done.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DoneEvent {
    /// Where it is stored.
    pub key: String,
    /// When it was done.
    pub done_at: i64,
    /// The event; `None` if the stored bytes are none.
    #[serde(default)]
    pub event: Option<Event>,
    /// The stored bytes as text, as far as they are, where they are no event.
    #[serde(default)]
    pub bytes: Option<String>,
}

/// Which page of what was done.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryQuery {
    /// How many at most: 100 unless said otherwise, 1,000 at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// The `next` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// Only what was done at this time or later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<i64>,
    /// Only what was done before this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<i64>,
}

/// What is to be replayed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Replay {
    /// The queue that it is handled in again, of the same topic.
    pub into: String,
    /// What was done at this time or later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<i64>,
    /// What was done before this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<i64>,
}

/// What a replay did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replayed {
    /// Events that are due again.
    pub events: u64,
    /// Events that were passed over.
    #[serde(default)]
    pub skipped: u64,
}
