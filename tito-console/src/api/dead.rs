//! Dead letters.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::event::Event;

/// An event that failed for good.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DeadLetter {
    /// Where it is stored, as [`encode_key`](super::encode_key) writes it; what names it.
    pub key: String,
    /// When it failed for good.
    #[serde(default)]
    pub given_up_at: Option<i64>,
    /// The fingerprint of its last error: the same for errors that differ only in numbers, ids and quoted texts.
    #[serde(default)]
    pub fingerprint: Option<String>,
    /// The event, with the failures that led here; `None` if the stored bytes are not an event.
    #[serde(default)]
    pub event: Option<Event>,
    /// The stored bytes as text, as far as possible, if they are not an event.
    #[serde(default)]
    pub bytes: Option<String>,
}

/// Which page of dead letters.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadQuery {
    /// How many at most: 100 by default, at most 1,000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// The `next` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// Only of this partition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partition: Option<u16>,
}

/// Which dead letters are meant: those that match everything given. To mean all of them, set `all`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Letters {
    /// All of the queue.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub all: bool,
    /// The one with this key. Nothing else is read then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// That of the event with this id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<Uuid>,
    /// Those of events about this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entity: Option<String>,
    /// Those whose last error contains this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Those whose last error has this fingerprint, as groups have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
    /// Those that failed for good at this time or later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<i64>,
    /// Those that failed for good before this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<i64>,
}

/// What a redrive did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Redriven {
    /// Events that are due again; in a rehearsal, would be.
    pub events: u64,
    /// Dead letters whose bytes are not an event; they stay where they are.
    #[serde(default)]
    pub skipped: u64,
    /// Whether it was a rehearsal, and nothing was done.
    #[serde(default)]
    pub dry_run: bool,
}
