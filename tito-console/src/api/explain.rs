//! Why an event is not handled, and what it did.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::event::{Event, FoundEvent};

/// Why an event of a queue is not handled, or what happened to it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Explanation {
    /// The queue.
    pub queue: String,
    /// The event's id.
    pub id: Uuid,
    /// As of when.
    pub as_of: i64,
    /// The reasons: at least one, the decisive one first.
    pub because: Vec<Reason>,
    /// Where it is stored, if it was found.
    #[serde(default)]
    pub key: Option<String>,
    /// The event, if it was found.
    #[serde(default)]
    pub event: Option<Event>,
    /// How many rows of events were read.
    #[serde(default)]
    pub rows_read: u64,
}

/// One reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// Its name, for programs: `paused`, `not_due`, `behind` and others that the guide lists.
    pub because: String,
    /// In words, for people.
    pub text: String,
    /// What goes with it, by name.
    #[serde(default)]
    pub details: serde_json::Value,
}

/// How far a search goes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SearchQuery {
    /// How many seconds it takes at most: 5 by default, and no longer than a request may take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds: Option<u32>,
    /// How many rows it reads at most: 100,000 by default, at most 1,000,000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<u32>,
    /// The `next` of the search before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}

/// What a search has found so far.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Found<T = FoundEvent> {
    /// Events.
    pub items: Vec<T>,
    /// How many rows were read.
    pub searched: u64,
    /// What to pass as `after` to continue; `None` if everything was searched.
    #[serde(default)]
    pub next: Option<String>,
}

/// Events of an entity.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntityQuery {
    /// What they are about.
    pub entity: String,
    /// How many at most: 100 unless said otherwise, 1,000 at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// The events of an entity in one queue.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct OfEntity<T = FoundEvent> {
    /// Pending ones first, then dead and done ones.
    pub items: Vec<T>,
    /// How many rows were read.
    pub rows_read: u64,
    /// Whether every place where they can be was read, and none was left out.
    pub is_whole: bool,
}

/// Dead letters whose last errors differ only in numbers, ids and quoted texts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadGroup {
    /// What they have in common; `None` of bytes that are no event.
    #[serde(default)]
    pub fingerprint: Option<String>,
    /// How many there are among those that were searched.
    pub count: u64,
    /// When the newest failed for good.
    pub newest: i64,
    /// When the oldest did.
    pub oldest: i64,
    /// The last error of the newest.
    #[serde(default)]
    pub error: Option<String>,
    /// Where the newest is stored.
    pub example: String,
}

/// Dead letters of a queue by their errors, the newest first, as far as they were searched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadGroups {
    /// The groups, the largest first.
    pub items: Vec<DeadGroup>,
    /// How many letters are in no group, as there were too many.
    #[serde(default)]
    pub others: u64,
    /// How many letters were searched.
    pub searched: u64,
    /// How many there are at least, those among them.
    pub at_least: u64,
    /// What to pass as `after` to continue; `None` if all were searched.
    #[serde(default)]
    pub next: Option<String>,
}
