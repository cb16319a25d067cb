//! Consumption for Tito: workers pick events up when they fall due.
//!
//! - [`TitoQueue`]: publishes events without a model, cancels and reschedules them, looks after topics, their groups, dead
//!   letters and history, and tells what there is;
//! - [`Worker`]: consumes topics; [`run_worker`] is its shortest form;
//! - [`Schedule`]: publishes events again and again, by cron expressions or in intervals;
//! - [`Subscription`], [`Outcome`]: how events are handled, and what becomes of them;
//! - [`adapters`], [`service()`]: handlers of payloads and models, with shared state, with layers round them;
//! - [`observe`]: spans, metrics and hooks.
//!
//! Events are deleted when they are acknowledged, in the transaction that records the outcome. Whatever is still stored
//! has not been done, so nothing is lost when a worker dies.

pub mod adapters;
mod batches;
mod change;
mod dead;
mod handler;
mod history;
mod inspect;
mod janitor;
mod membership;
pub mod observe;
mod outcome;
mod pages;
mod partitions;
mod policy;
pub mod prelude;
mod progress;
mod publish;
mod queue;
mod run_worker;
mod schedule;
mod service;
mod topics;
mod unique;
mod worker;

pub use dead::{DeadLetter, Redriven};
pub use handler::{IntoOutcome, IntoOutcomes};
pub use history::{DoneEvent, Replay, Replayed};
pub use inspect::{Counts, FoundEvent, FoundIn, PartitionStats, PendingEvent, PendingState, QueueStats};
pub use janitor::Swept;
pub use membership::{LeaseInfo, MemberInfo};
pub use outcome::Outcome;
pub use partitions::PartitionConfig;
pub use policy::{Exhausted, Order, RateLimit, RetryPolicy, Subscription};
pub use publish::Publish;
pub use queue::TitoQueue;
pub use run_worker::run_worker;
pub use schedule::{Missed, Recurrence, Schedule, ScheduleInfo};
pub use service::service;
pub use topics::{GroupStart, Resized};
pub use unique::{Published, Unique};
pub use worker::{Worker, WorkerBuilder, WorkerReport};
