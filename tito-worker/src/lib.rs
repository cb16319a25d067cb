//! Consumption for Tito: workers pick events up when they fall due.
//!
//! - [`TitoQueue`]: publishes events without a model, cancels and reschedules them, looks after dead letters and history,
//!   and tells what there is;
//! - [`Worker`]: consumes topics; [`run_worker`] is its shortest form;
//! - [`Outcome`], [`RetryPolicy`]: what becomes of an event.
//!
//! Events are deleted when they are acknowledged, in the transaction that records the outcome. Whatever is still stored
//! has not been done, so nothing is lost when a worker dies.

mod change;
mod dead;
mod handler;
mod history;
mod inspect;
mod janitor;
mod outcome;
mod pages;
mod partitions;
pub mod prelude;
mod progress;
mod publish;
mod queue;
mod retry;
mod run_worker;
mod unique;
mod worker;

pub use dead::{DeadLetter, Redriven};
pub use handler::IntoOutcome;
pub use history::{DoneEvent, Replay, Replayed};
pub use inspect::{Counts, FoundEvent, FoundIn, PartitionStats, PendingEvent, PendingState, QueueStats};
pub use janitor::Swept;
pub use outcome::Outcome;
pub use partitions::PartitionConfig;
pub use publish::Publish;
pub use queue::TitoQueue;
pub use retry::RetryPolicy;
pub use run_worker::run_worker;
pub use unique::{Published, Unique};
pub use worker::{Subscription, Worker, WorkerBuilder, WorkerReport};
