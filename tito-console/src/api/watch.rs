//! What is published and what workers do, as it happens.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Something that the server's process did: a worker, or a commit that has published an event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watched {
    /// What happened.
    pub what: Happened,
    /// The queue.
    pub queue: String,
    /// The event.
    pub id: Uuid,
    /// What the event is about.
    pub entity: String,
    /// Which attempt it is, counted from 1; 0 of an event that was published.
    pub attempt: u32,
    /// For an attempt that has ended, what happened to the event: `done`, `retried`, `dead` and others.
    #[serde(default)]
    pub fate: Option<String>,
    /// For an attempt that has ended, how long the handler ran.
    #[serde(default)]
    pub duration_millis: Option<u64>,
    /// Why it failed.
    #[serde(default)]
    pub error: Option<String>,
    /// Of an event that was published, when it falls due.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due: Option<i64>,
}

/// What can happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Happened {
    /// An event was published.
    Published,
    /// An event was handed out.
    HandedOut,
    /// A handler has ended, and the outcome is recorded, or known not to be.
    Handled,
    /// Something that a later version tells of.
    #[serde(other)]
    Unknown,
}

/// How much a watcher missed at this place because it was too slow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dropped {
    /// How many lines.
    pub dropped: u64,
}

/// What is not shown, in the first line where something is not: `published`, where other processes publish too, as on a cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotShown {
    /// Which.
    pub not_shown: Vec<Happened>,
}

/// What to watch.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WatchQuery {
    /// Only this queue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<String>,
    /// How many lines at most; by default without an end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}
