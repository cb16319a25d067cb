//! Operations: what takes long, and is done by any worker.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use super::topic::Rate;

/// An operation that is to be begun.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewOperation {
    /// What it does: an object with the `kind` `redrive`, `purge_dead_letters`, `purge`, `replay` or `named`, and the members
    /// that the guide lists.
    pub task: Value,
    /// How fast; as fast as workers can unless said otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<Rate>,
}

/// An operation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Operation {
    /// What names it, and what listings go on after.
    pub id: Uuid,
    /// Who has begun it.
    pub who: String,
    /// Why.
    #[serde(default)]
    pub why: String,
    /// What it does.
    pub task: Value,
    /// How fast.
    #[serde(default)]
    pub rate: Option<Rate>,
    /// How far it is: `waiting`, `running`, `stopped`, `done`, `failed`.
    pub state: String,
    /// Why it failed.
    #[serde(default)]
    pub failure: Option<String>,
    /// How many events were dealt with.
    pub done: u64,
    /// How many were looked at.
    pub searched: u64,
    /// How many there were to be looked at when it was begun, at least.
    pub at_least: u64,
    /// How many were passed over.
    #[serde(default)]
    pub skipped: u64,
    /// When it was begun.
    pub started_at: i64,
    /// When it was changed last.
    pub changed_at: i64,
    /// When it ended.
    #[serde(default)]
    pub ended_at: Option<i64>,
}
