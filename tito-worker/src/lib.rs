//! Consumption for Tito: workers pick events up when they fall due.
//!
//! ```
//! use tito_core::Transaction;
//! use tito_core::prelude::*;
//! use tito_worker::prelude::*;
//!
//! #[tokio::main(flavor = "current_thread")]
//! async fn main() -> Result<(), TitoError> {
//!     let db = Database::open("memory:").await?;
//!     let queue = TitoQueue::new(db.clone());
//!     let worker = Worker::builder(queue.clone())
//!         // A plain handler runs at least once.
//!         .subscribe("mail", |event: TitoEvent| async move {
//!             println!("a mail to {}", event.entity);
//!             Ok::<_, TitoError>(())
//!         })
//!         // What this one writes commits with the acknowledgement: exactly once.
//!         .subscribe("visit", |event: TitoEvent, tx: Transaction| async move {
//!             tx.put(format!("visited/{}", event.entity).into_bytes(), Vec::new()).await
//!         })
//!         .build();
//!
//!     db.transaction(|tx| async move {
//!         queue.publish(Publish::new("mail", "user:ada"), &tx).await?;
//!         queue.publish(Publish::new("visit", "user:ada"), &tx).await?;
//!         Ok(())
//!     })
//!     .await?;
//!     assert_eq!(worker.drain().await?.done, 2); // or `run(shutdown)`, which goes on
//!     Ok(())
//! }
//! ```
//!
//! - [`TitoQueue`]: publishes events without a model, cancels and reschedules them, manages topics, their groups, dead
//!   letters and history, and inspects them;
//! - [`Worker`]: consumes queues, alone or as a member of a fleet; [`run_worker`] is its shortest form;
//! - [`Subscription`]: the policies by which a queue is consumed;
//! - [`Schedule`]: publishes events periodically, by cron expressions or at intervals;
//! - [`Outcome`]: what a handler decides about an event;
//! - [`Handler`]: what a handler can take: events, payloads, rows, batches, the transaction, shared state, layers;
//! - [`TitoJob`]: topics as types, with versions of their payloads;
//! - [`observe`]: spans, metrics and hooks.
//!
//! Events are deleted when they are acknowledged, in the transaction that records the outcome. Whatever is still stored
//! has not been done, so nothing is lost when a worker dies.
//!
//! [`prelude`] has what every consuming program names, and no name that a model may want. [The
//! guide](https://github.com/tito-rs/tito/blob/main/docs/guide/README.md) says how to use each feature, [the
//! design](https://github.com/tito-rs/tito/blob/main/docs/design.md) why it is built as it is.
//!
//! # Features
//!
//! | feature | default | what it adds |
//! |---|---|---|
//! | `derive` | yes | `#[derive(TitoJob)]`: topics as types |
//! | `tikv` | no | the TiKV engine of `tito-core` |
//!
//! # The source
//!
//!
//! | folder | what it is for |
//! |---|---|
//! | `worker` | reads due events, hands them to handlers, records what they came to |
//! | `policy` | what a subscription can set |
//! | `facts`, `activity` | backlogs and gauges; what was done, by minute |
//! | `registration` | what workers say of themselves, and what an operator tells them |
//! | `membership` | who owns which partition: heartbeats, claims, leases |
//! | `topics` | groups, the number of partitions, pauses, history, of a topic in service |
//! | `dead` | dead letters: list, redrive, purge |
//! | `unique`, `change` | unique events; cancel and reschedule |
//! | `handler` | what a handler is: functions, their arguments, services |
//! | `job` | topics as types |
//! | `fate` | what becomes of an event that was handed out |
//! | `place` | where rows of events lie, and how one gets to another place |
//! | `advance` | the next step of an event |
//! | `keys` | the keys of what the worker stores |
//! | `moved` | notes of where events went, for those who look for them |
//! | `fingerprint` | what errors have in common |
//! | `again` | what is left of an event that is stored once more: postponed, moved, redriven, replayed, copied |
//! | `schedule` | periodic schedules |
//! | `history`, `janitor` | what was done, replayed; what nobody needs any more, removed |
//! | `explain` | why an event is not handled |
//! | `inspect` | counts, pages and searches of what is stored |
//! | `owner` | all that belongs to an owner, found and erased |
//! | `operation` | what takes long: durable, slowed down, stopped; who changed what |
//! | `observe` | spans, metrics, observers |

mod activity;
mod advance;
mod again;
mod change;
mod dead;
mod error;
mod error_text;
mod explain;
mod facts;
mod fate;
mod fingerprint;
mod handler;
mod history;
mod inspect;
mod janitor;
mod job;
pub mod keys;
mod locate;
mod membership;
mod moved;
pub mod observe;
mod operation;
mod outcome;
mod owner;
mod partitions;
mod place;
mod policy;
pub mod prelude;
mod progress;
mod publish;
mod queue;
mod registration;
mod run_worker;
mod same_attempt;
mod schedule;
mod time;
mod topics;
mod unique;
mod worker;

pub use advance::Advance;
pub use dead::{DeadLetter, DeadLetterGroup, DeadLetterGroups, Redriven, fingerprint_of};
pub use error::QueueError;
pub use explain::{Because, EntityEvents, Explanation, PausedBy, WhichEvent};
pub use facts::{Backlog, MinuteActivity};
pub use handler::{
    Batch, Boxed, BoxedHandler, Context, FromEvent, Handler, IntoOutcome, IntoOutcomes, Layered, Payload, Progress,
    Rejection, Row, State, Stateful, WithState, WithoutEvent, with_state,
};
pub use history::{DoneEvent, Replay, Replayed};
pub use inspect::{
    CausedEvents, Counts, FoundEvent, FoundIn, PartitionStats, PendingEvent, PendingState, QueueStats, SearchBounds,
};
pub use janitor::Swept;
pub use job::{IntoTopic, JobTopic, TitoJob, Untyped};
pub use membership::{LeaseInfo, MemberInfo};
pub use operation::{
    EventFilter, NamedStep, Operation, OperationInfo, OperationState, OperationTask, Operations, Operator,
    RebuildProgress, Rebuilds, Rehearsed, Stepped,
};
pub use outcome::Outcome;
pub use owner::{Erasure, OwnerCounts, OwnerSearch, Remaining};
pub use partitions::PartitionConfig;
pub use policy::{Exhausted, LimitedBy, Order, RateLimit, RetryPolicy, Subscription};
pub use publish::Publish;
pub use queue::TitoQueue;
pub use registration::{FleetInfo, InHand, RunningHandler, WorkerInfo, WorkerPage, WorkerPlace};
pub use run_worker::run_worker;
pub use schedule::{Missed, Recurrence, Schedule, ScheduleInfo, ScheduleOverride};
#[cfg(feature = "derive")]
pub use tito_derive::TitoJob;
pub use topics::{GroupStart, Resized};
pub use unique::{Published, Unique};
pub use worker::{Worker, WorkerBuilder, WorkerError, WorkerReport};

/// Events for handlers from elsewhere than a queue; for event stores, not for use by hand.
#[doc(hidden)]
pub mod feed {
    pub use crate::worker::{
        Fed, Feed, FeedChecked, FeedControls, FeedEnded, FeedRecorded, FeedRun, FeedWatched, HandlerResult, Permit,
        Started,
    };
}

/// What the derive's output names; not for use by hand.
#[doc(hidden)]
pub mod __private {
    pub use serde_json::Value;
    pub use tito_core::BoxError;
}
