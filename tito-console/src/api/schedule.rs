//! Periodic schedules.

use serde::{Deserialize, Serialize};

/// A schedule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schedule {
    /// Its name.
    pub name: String,
    /// How it recurs.
    pub recurrence: Recurrence,
    /// When it starts, or started.
    pub starts_at: i64,
    /// What becomes of firings that were missed.
    pub missed: Missed,
    /// The type of its events.
    pub event_type: String,
    /// What they are about.
    pub entity: String,
    /// To whom they belong, and the schedule with them.
    #[serde(default)]
    pub owner: Option<String>,
    /// Their action.
    pub action: String,
    /// The next firing; `None` if there are no more.
    #[serde(default)]
    pub next: Option<i64>,
    /// The last firing that was published.
    #[serde(default)]
    pub last: Option<i64>,
    /// Whether it is paused.
    #[serde(default)]
    pub is_paused: bool,
    /// How many firings were skipped since it was first put.
    #[serde(default)]
    pub passed_over: u64,
    /// How many firings were missed since it was first put.
    #[serde(default)]
    pub missed_firings: u64,
    /// How it recurs according to its program, if an operator has overridden it.
    #[serde(default)]
    pub declared: Option<Recurrence>,
    /// When an operator overrode it.
    #[serde(default)]
    pub overridden_since: Option<i64>,
}

/// Other times of a schedule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Override {
    /// How it is to recur.
    pub recurrence: Recurrence,
}

/// How a schedule recurs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Recurrence {
    /// At the local times that a cron expression names.
    Cron {
        /// The expression.
        expression: String,
        /// The name of a time zone of the IANA database.
        time_zone: String,
    },
    /// At equal intervals.
    Every {
        /// The length of the interval.
        seconds: u64,
    },
    /// One that a later version says, in words.
    Other(String),
}

/// What becomes of firings that were missed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Missed {
    /// They are skipped.
    Skip,
    /// The last of them is published.
    Latest,
    /// Each of them is published.
    All,
    /// One that a later version says.
    #[serde(other)]
    Unknown,
}
