//! The reasons that there are.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::Serialize;
use tito_core::KeyText;
use tito_core::event::{Completion, FailedAttempt};
use uuid::Uuid;

use crate::inspect::serialize_key;
use crate::policy::LimitedBy;

/// Why an event is not handled, or what happened to it. Serde writes it as an object with the reason's name as
/// `because`; times are Unix seconds, unless their name ends in milliseconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "because", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Because {
    /// There is no such topic.
    TopicMissing {
        /// The topic with the nearest name, if one is alike.
        nearest: Option<String>,
    },
    /// The topic has no such group, or it is being removed.
    GroupMissing,
    /// It was not found: done and not kept, cancelled, purged, or never published to this queue; or it is further on
    /// than was read.
    NotFound {
        /// Whether every place where it can be was read, so that it is certainly not there.
        is_certain: bool,
    },
    /// What is stored is not an event. A worker that reads it moves it to the dead letters.
    Unreadable,
    /// It was done, and is kept as history.
    Done {
        /// When it was.
        #[serde(serialize_with = "chrono::serde::ts_seconds::serialize")]
        at: DateTime<Utc>,
        /// How it was done, unless by an earlier release.
        completion: Option<Completion>,
    },
    /// It failed for good.
    Dead {
        /// When it did.
        #[serde(serialize_with = "chrono::serde::ts_seconds::serialize")]
        at: DateTime<Utc>,
        /// Its last failure; `None` for bytes that are not an event.
        failure: Option<FailedAttempt>,
    },
    /// A handler has it.
    Running {
        /// The worker: a fleet member's id, or the id of its process's row.
        worker: Uuid,
        /// Since when, where it is known.
        #[serde(serialize_with = "chrono::serde::ts_seconds_option::serialize")]
        since: Option<DateTime<Utc>>,
    },
    /// The queue hands nothing out.
    Paused {
        /// Until when, if known. Otherwise it has to be resumed by hand.
        #[serde(serialize_with = "chrono::serde::ts_seconds_option::serialize")]
        until: Option<DateTime<Utc>>,
        /// What has paused it.
        by: PausedBy,
    },
    /// It waits for its time.
    NotDue {
        /// When it comes.
        #[serde(serialize_with = "chrono::serde::ts_seconds::serialize")]
        until: DateTime<Utc>,
    },
    /// Its payload is of a later version than the workers know who serve its partition. They postpone it by a minute at a
    /// time, for a worker of a later release.
    LaterVersion {
        /// The version of its payload.
        version: u32,
        /// The latest that one of them knows.
        known: u32,
    },
    /// It has failed, and waits for its next attempt.
    Retrying {
        /// Which attempt comes next, counted from 1.
        attempt: u32,
        /// When it is made.
        #[serde(serialize_with = "chrono::serde::ts_seconds::serialize")]
        until: DateTime<Utc>,
        /// The last failure; `None` if an earlier release or a handler postponed it without one.
        failure: Option<FailedAttempt>,
    },
    /// No live worker is known to serve the queue.
    NoSubscriber,
    /// Live workers serve the queue, but none of them its partition: no member of their fleet owns it, or it is in
    /// nobody's share.
    NoOwner {
        /// The owner according to the lease, who is dead or gone; `None` if it was released.
        last_owner: Option<Uuid>,
    },
    /// An earlier event of its entity comes first.
    Behind {
        /// The first of them that was found.
        id: Uuid,
        /// Where that one is stored.
        #[serde(serialize_with = "serialize_key")]
        key: KeyText,
        /// How many of its attempts have failed.
        failed_attempts: u32,
        /// Until when it is postponed in its place, where the order is strict and it has failed.
        #[serde(serialize_with = "chrono::serde::ts_seconds_option::serialize")]
        until: Option<DateTime<Utc>>,
        /// Its last failure.
        failure: Option<FailedAttempt>,
        /// The version of its payload, where the workers who serve the partition know earlier ones only.
        later_version: Option<u32>,
    },
    /// The number of partitions is being changed, and the events of its entity move to another one: in strict order
    /// they wait until all have moved.
    Moving,
    /// A process has died while it was handled: it waits until nothing else runs in its worker's process.
    Suspect {
        /// How many processes have died while it alone was being handled.
        deaths: u32,
    },
    /// A limit of its queue had no room for another event when its worker last reported.
    Limited {
        /// Which.
        by: LimitedBy,
    },
    /// It is due and nothing holds it back: it is handed out after those before it in its partition.
    InLine {
        /// How many these are.
        before: u64,
        /// Whether there are more than were counted.
        at_least: bool,
    },
}

/// What has paused a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum PausedBy {
    /// [`TitoQueue::pause`](crate::TitoQueue::pause).
    Operator,
    /// A restore, until it is resumed.
    Restore,
    /// Earlier events are being copied into the new group, and come first.
    Copying,
}

/// A sentence for people.
impl fmt::Display for Because {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TopicMissing { nearest: None } => f.write_str("there is no such topic"),
            Self::TopicMissing { nearest: Some(name) } => write!(f, "there is no such topic, the nearest is {name:?}"),
            Self::GroupMissing => f.write_str("the topic has no such group"),
            Self::NotFound { is_certain: true } => {
                f.write_str("it is not there: done and not kept, cancelled, purged, or never published to this queue")
            }
            Self::NotFound { is_certain: false } => f.write_str("it was not found in what was read of its queue"),
            Self::Unreadable => f.write_str("what is stored is no event"),
            Self::Done { at, .. } => write!(f, "it was done at {}", at.to_rfc3339()),
            Self::Dead { at, failure } => {
                write!(f, "it failed for good at {}", at.to_rfc3339())?;
                write_failure(f, failure.as_ref())
            }
            Self::Running { worker, since: None } => write!(f, "worker {worker} handles it"),
            Self::Running { worker, since: Some(since) } => {
                write!(f, "worker {worker} handles it since {}", since.to_rfc3339())
            }
            Self::Paused { until, by } => {
                f.write_str(match by {
                    PausedBy::Operator => "its queue is paused",
                    PausedBy::Restore => "its queue is paused by a restore that was not resumed",
                    PausedBy::Copying => "earlier events are being copied into its queue",
                })?;
                until.map_or(Ok(()), |until| write!(f, " until {}", until.to_rfc3339()))
            }
            Self::NotDue { until } => write!(f, "it is not due until {}", until.to_rfc3339()),
            Self::LaterVersion { version, known } => {
                write!(f, "its payload has version {version}, and its workers know versions up to {known}")
            }
            Self::Retrying { attempt, until, failure } => {
                write!(f, "its attempt {attempt} is made at {}", until.to_rfc3339())?;
                write_failure(f, failure.as_ref())
            }
            Self::NoSubscriber => f.write_str("no live worker is known that serves its queue"),
            Self::NoOwner { last_owner: None } => f.write_str("no worker serves its partition"),
            Self::NoOwner { last_owner: Some(owner) } => {
                write!(f, "no live worker serves its partition, which was owned by {owner}")
            }
            Self::Behind { id, until, failure, later_version, .. } => {
                write!(f, "event {id} of its entity comes first")?;
                until.map_or(Ok(()), |until| write!(f, ", which waits until {}", until.to_rfc3339()))?;
                if let Some(version) = later_version {
                    write!(f, ", and whose payload has version {version}, which its workers don't know")?;
                }
                write_failure(f, failure.as_ref())
            }
            Self::Moving => f.write_str("the events of its entity move to another partition"),
            Self::Suspect { deaths } => {
                write!(f, "it is suspected to kill its process ({deaths} deaths alone), and waits to run alone")
            }
            Self::Limited { by: LimitedBy::Rate } => f.write_str("its queue's rate has no room for it"),
            Self::Limited { by: LimitedBy::Concurrency } => f.write_str("as many handlers run as its queue may have"),
            Self::Limited { by: LimitedBy::Other } => f.write_str("a limit of its queue has no room for it"),
            Self::InLine { before: 0, at_least: false } => f.write_str("it is due, and the first of its partition"),
            Self::InLine { before, at_least } => {
                let more = if *at_least { "at least " } else { "" };
                write!(f, "it is due, {more}{before} events are before it in its partition")
            }
        }
    }
}

fn write_failure(f: &mut fmt::Formatter<'_>, failure: Option<&FailedAttempt>) -> fmt::Result {
    let Some(failure) = failure else { return Ok(()) };
    write!(f, "; its attempt {} failed: {}", failure.attempt, failure.error)
}
