//! What goes with every change.

use serde::{Deserialize, Serialize};

/// What somebody may do. Each role includes those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Look at everything, payloads as far as they are not redacted.
    Read,
    /// Change what can be changed again: pause, resume, reschedule, redrive, resize.
    Operate,
    /// Delete for good, and take everything away: purge, cancel, erase, remove, backup.
    Destroy,
}

/// In the query of every request that changes something.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// Why, for the audit: up to 1,000 bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// Whether to do nothing and answer what would be affected. Only of requests that say so; others refuse it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
}

/// The result of a change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Affected {
    /// How many rows, events or things were changed; in a rehearsal, would be.
    pub affected: u64,
    /// Whether there are, or may be, more than were counted: a rehearsal counts up to a bound.
    #[serde(default)]
    pub at_least: bool,
    /// Whether it was a rehearsal, and nothing was done.
    #[serde(default)]
    pub dry_run: bool,
}

impl std::fmt::Display for Role {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Read => "read",
            Self::Operate => "operate",
            Self::Destroy => "destroy",
        })
    }
}
