//! How operations are shown.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use tito_core::event::Rate;
use uuid::Uuid;

use super::row::OperationRow;
use super::task::OperationTask;
use crate::time::time_of;

/// How far an operation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum OperationState {
    /// No worker has begun it.
    Waiting,
    /// It is being done, or waits for its rate or for a worker to continue it.
    Running,
    /// It was stopped; what was done by then stays done.
    Stopped,
    /// It is done.
    Done,
    /// It could not go on; what was done by then stays done.
    Failed,
}

impl OperationState {
    /// Whether it has ended.
    pub fn has_ended(self) -> bool {
        !matches!(self, Self::Waiting | Self::Running)
    }
}

/// An operation, as it is stored.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct OperationInfo {
    /// What names it.
    pub id: Uuid,
    /// Who started it.
    pub who: String,
    /// Why.
    pub why: String,
    /// What it does. A task that only a later version knows is shown as a named one without a name.
    pub task: OperationTask,
    /// How fast; `None` if as fast as workers can.
    pub rate: Option<Rate>,
    /// How far it is.
    pub state: OperationState,
    /// Why it failed.
    pub failure: Option<String>,
    /// How many events were processed, or what a named step counts.
    pub done: u64,
    /// How many were looked at.
    pub searched: u64,
    /// How many there were, at least, when it was started: counted up to 900.
    pub at_least: u64,
    /// How many were skipped because they are not an event, or are there already.
    pub skipped: u64,
    /// When it was started.
    #[serde(with = "chrono::serde::ts_seconds")]
    pub started_at: DateTime<Utc>,
    /// When its row was last changed.
    #[serde(with = "chrono::serde::ts_seconds")]
    pub changed_at: DateTime<Utc>,
    /// When it ended. It is deleted a week later.
    #[serde(with = "chrono::serde::ts_seconds_option")]
    pub ended_at: Option<DateTime<Utc>>,
}

impl OperationInfo {
    pub(super) fn of(id: Uuid, row: OperationRow) -> Self {
        let task = serde_json::from_str(row.task.get()).unwrap_or_else(|_| OperationTask::Named {
            name: String::new(),
            input: serde_json::from_str(row.task.get()).unwrap_or_default(),
        });
        Self {
            id,
            who: row.who,
            why: row.why,
            task,
            rate: row.rate,
            state: row.state,
            failure: row.failure,
            done: row.done,
            searched: row.searched,
            at_least: row.at_least,
            skipped: row.skipped,
            started_at: time_of(row.started_at),
            changed_at: time_of(row.changed_at),
            ended_at: row.ended_at.map(time_of),
        }
    }
}
