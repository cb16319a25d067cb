//! All that belongs to an owner.

use serde::{Deserialize, Serialize};

/// How much belongs, or belonged, to an owner. An event counts once for each queue that it is in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct OwnerCounts {
    /// Events that are due.
    pub due: u64,
    /// Events that wait for their time.
    pub scheduled: u64,
    /// Events that wait for their next attempt.
    pub retrying: u64,
    /// Stored bytes under the keys of events that are none.
    pub malformed: u64,
    /// Dead letters.
    pub dead: u64,
    /// Events that were done and are kept.
    pub done: u64,
    /// Keys of unique events.
    pub unique: u64,
    /// Schedules.
    pub schedules: u64,
    /// Whether there may be more than were counted.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub at_least: bool,
}
