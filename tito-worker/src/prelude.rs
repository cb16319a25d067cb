//! What most consumers use: `use tito_worker::prelude::*;`.

pub use crate::job::TitoJob;
pub use crate::outcome::Outcome;
pub use crate::partitions::PartitionConfig;
pub use crate::policy::{Exhausted, Order, RateLimit, RetryPolicy, Subscription};
pub use crate::publish::Publish;
pub use crate::queue::TitoQueue;
pub use crate::run_worker::run_worker;
pub use crate::schedule::{Missed, Schedule};
pub use crate::topics::GroupStart;
pub use crate::unique::{Published, Unique};
pub use crate::worker::{Worker, WorkerReport};
#[cfg(feature = "derive")]
pub use tito_derive::TitoJob;
