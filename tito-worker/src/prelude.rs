//! What every program that consumes names, and nothing that its models may be called: `use tito_worker::prelude::*;`.

pub use crate::job::TitoJob;
pub use crate::partitions::PartitionConfig;
pub use crate::publish::Publish;
pub use crate::queue::TitoQueue;
pub use crate::run_worker::run_worker;
pub use crate::worker::Worker;
#[cfg(feature = "derive")]
pub use tito_derive::TitoJob;
