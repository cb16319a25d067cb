//! Operations: long tasks that any worker can carry out.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use super::topic::Rate;

/// An operation to be started.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewOperation {
    /// What it does: a [`Task`].
    pub task: Value,
    /// How fast; by default as fast as workers can.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<Rate>,
}

/// What an operation is to do. A member that is not listed here is refused, so that nothing meant to narrow it is lost.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Task {
    /// Dead letters are made due again.
    Redrive {
        /// The queue.
        queue: String,
        /// Which of them.
        letters: Chosen,
        /// Whether they go back to their old places, before later events of their entities.
        #[serde(default)]
        in_order: bool,
    },
    /// Dead letters are deleted for good.
    PurgeDeadLetters {
        /// The queue.
        queue: String,
        /// Which of them.
        letters: Chosen,
    },
    /// Events that have not been done are deleted for good.
    Purge {
        /// The queue.
        queue: String,
        /// Which of them.
        events: Chosen,
    },
    /// Finished events are made due again.
    Replay {
        /// The queue in which it was done.
        from: String,
        /// The queue into which it is replayed, of the same topic.
        into: String,
        /// What was done at this time or later.
        since: i64,
        /// What was done before this time.
        until: i64,
        /// As of `Redrive`.
        #[serde(default)]
        in_order: bool,
    },
    /// An index of a table is made whole, by a worker whose application has registered the model. A rate is one of rows.
    Reindex {
        /// The table.
        table: String,
        /// The index.
        index: String,
    },
    /// A projection of an event store is folded anew, by a worker that has it.
    Rebuild {
        /// The store.
        store: String,
        /// The projection.
        projection: String,
    },
    /// All queues and schedules go on that a restore has paused.
    Resume {},
    /// What an application has registered by a name.
    Named {
        /// The name.
        name: String,
        /// What it is told.
        #[serde(default)]
        input: Value,
    },
}

/// Which events are meant: those that match everything given. To mean all of them, set `all`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Chosen {
    /// All of the queue. Nothing else is said then.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub all: bool,
    /// Those about this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entity: Option<String>,
    /// Those to which this happened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    /// Those whose last error contains this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Those whose last error has this fingerprint, as groups of dead letters have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
    /// Those that fell due, or of dead letters failed for good, at this time or later. `since` means the same, as it is in
    /// what is stored.
    #[serde(default, alias = "since", skip_serializing_if = "Option::is_none")]
    pub from: Option<i64>,
    /// Those before this time. `until` means the same, as it is in what is stored.
    #[serde(default, alias = "until", skip_serializing_if = "Option::is_none")]
    pub before: Option<i64>,
}

/// An operation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Operation {
    /// Its id, which listings also take as `after`.
    pub id: Uuid,
    /// Who has begun it.
    pub who: String,
    /// Why.
    #[serde(default)]
    pub why: String,
    /// What it does, as it is stored.
    pub task: Value,
    /// How fast.
    #[serde(default)]
    pub rate: Option<Rate>,
    /// How far it is: `waiting`, `running`, `stopped`, `done`, `failed`.
    pub state: String,
    /// Why it failed.
    #[serde(default)]
    pub failure: Option<String>,
    /// How many events were processed.
    pub done: u64,
    /// How many were looked at.
    pub searched: u64,
    /// How many there were to be looked at when it was begun, at least.
    pub at_least: u64,
    /// How many were skipped.
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
