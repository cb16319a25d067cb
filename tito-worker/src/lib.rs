//! Consumption for Tito: workers pick events up when they fall due.
//!
//! - [`TitoQueue`]: publishes events without a model, and looks after topics, their groups and dead letters;
//! - [`Worker`]: consumes topics; [`run_worker`] is its shortest form;
//! - [`Outcome`], [`RetryPolicy`]: what becomes of an event.
//!
//! Events are deleted when they are acknowledged, in the transaction that records the outcome. Whatever is still stored
//! has not been done, so nothing is lost when a worker dies.

mod batches;
mod dead;
mod handler;
mod outcome;
mod partitions;
pub mod prelude;
mod publish;
mod queue;
mod retry;
mod run_worker;
mod topics;
mod worker;

pub use dead::{DeadLetter, Redriven};
pub use handler::IntoOutcome;
pub use outcome::Outcome;
pub use partitions::PartitionConfig;
pub use publish::Publish;
pub use queue::TitoQueue;
pub use retry::RetryPolicy;
pub use run_worker::run_worker;
pub use topics::{GroupStart, Resized};
pub use worker::{Subscription, Worker, WorkerBuilder, WorkerReport};
