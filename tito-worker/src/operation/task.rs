//! What an operation does.

use serde::{Deserialize, Serialize};
use tito_core::event::{Rate, TitoEvent};

use super::operator::Operator;
use crate::dead::fingerprint_of;

/// What an operation does, and to what.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum OperationTask {
    /// Dead letters of a queue are made due again, with all their attempts; those that failed for good after the
    /// operation was started are left alone.
    Redrive {
        /// The queue.
        queue: String,
        /// Which of them.
        #[serde(default)]
        letters: EventFilter,
        /// Whether they go back to their old places, before later events of their entities, as a strict subscription
        /// needs. That makes all workers of the topic read their partitions from the beginning at every step. Otherwise
        /// they fall due from now on, one after the other at the given rate.
        #[serde(default)]
        in_order: bool,
    },
    /// Dead letters of a queue are deleted for good.
    PurgeDeadLetters {
        /// The queue.
        queue: String,
        /// Which of them.
        #[serde(default)]
        letters: EventFilter,
    },
    /// Pending events of a queue are deleted for good, as by [`TitoQueue::purge_where`](crate::TitoQueue::purge_where);
    /// those that were published after the operation was started are left alone.
    Purge {
        /// The queue.
        queue: String,
        /// Which of them.
        #[serde(default)]
        events: EventFilter,
    },
    /// Finished events are made due again, as by [`TitoQueue::replay`](crate::TitoQueue::replay), from one second on
    /// and before another.
    Replay {
        /// The queue in which it was done.
        from: String,
        /// The queue into which it is replayed, of the same topic.
        into: String,
        /// Unix seconds.
        since: i64,
        /// Unix seconds.
        until: i64,
        /// As of `Redrive`.
        #[serde(default)]
        in_order: bool,
    },
    /// An index of a table is made whole, row by row and entry by entry, by a worker whose application has registered the
    /// model ([`WorkerBuilder::model`](crate::WorkerBuilder::model)). The table stays in use. A rate is one of rows.
    Reindex {
        /// The table.
        table: String,
        /// The index.
        index: String,
    },
    /// A projection of an event store is folded anew, by a worker that the projection is subscribed with. The rows that
    /// there are serve until the new ones have caught up. One that is stopped before is abandoned.
    Rebuild {
        /// The store.
        store: String,
        /// The projection.
        projection: String,
    },
    /// All queues and schedules go on that a restore has paused; what was paused before the backup, or by hand since, stays
    /// so.
    Resume,
    /// A step that an application has registered by a name
    /// ([`WorkerBuilder::operation`](crate::WorkerBuilder::operation)), whatever it does.
    Named {
        /// The name.
        name: String,
        /// Its input.
        #[serde(default)]
        input: serde_json::Value,
    },
}

/// Chooses events: those that match everything given here.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventFilter {
    /// Their entity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entity: Option<String>,
    /// Their action.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    /// A part of the error of their last failed attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The fingerprint of their last failure: see [`DeadLetter::fingerprint`](crate::DeadLetter::fingerprint).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
    /// The second in their key is this one or later: for dead letters when they failed for good, for others when they
    /// fall due.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<i64>,
    /// The second in their key is before this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<i64>,
}

impl EventFilter {
    /// Whether an event in the place of a second is chosen.
    pub(super) fn chooses(&self, event: &TitoEvent, second: i64) -> bool {
        let failure = || event.failures.last();
        let is_within = self.since.is_none_or(|since| second >= since) && self.until.is_none_or(|until| second < until);
        is_within
            && self.entity.as_ref().is_none_or(|entity| *entity == event.entity)
            && self.action.as_ref().is_none_or(|action| *action == event.action)
            && self.error.as_ref().is_none_or(|text| failure().is_some_and(|last| last.error.contains(text.as_str())))
            && self.fingerprint.as_ref().is_none_or(|wanted| fingerprint_of(event).as_ref() == Some(wanted))
    }

    /// Whether everything is chosen, also what is not an event.
    pub(super) fn is_all(&self) -> bool {
        *self == Self::default()
    }
}

/// An operation to be [started](super::Operations::start).
///
/// ```
/// use tito_core::event::Rate;
/// use tito_worker::{EventFilter, Operation, OperationTask, Operator};
///
/// let outage = EventFilter { error: Some("connection refused".to_string()), ..EventFilter::default() };
/// let redrive = OperationTask::Redrive { queue: "mail".to_string(), letters: outage, in_order: false };
/// let operation = Operation::new(redrive, &Operator::new("ada").why("the relay is back")).rate(Rate::per_second(5));
/// ```
#[derive(Clone, Debug)]
#[must_use = "it is not begun before it is started"]
pub struct Operation {
    pub(super) task: OperationTask,
    pub(super) who: String,
    pub(super) why: String,
    pub(super) rate: Option<Rate>,
}

impl Operation {
    /// An operation by somebody, as fast as workers can.
    pub fn new(task: OperationTask, operator: &Operator) -> Self {
        Self { task, who: operator.who().to_string(), why: operator.reason().to_string(), rate: None }
    }

    /// How fast: this many events in a time. For a named step it is only passed on
    /// ([`NamedStep::rate`](crate::NamedStep::rate)).
    pub fn rate(mut self, rate: Rate) -> Self {
        self.rate = Some(rate);
        self
    }
}
