//! What every consuming program names, and no name that its models may want: `use tito_worker::prelude::*;`.

pub use crate::job::TitoJob;
pub use crate::partitions::PartitionConfig;
pub use crate::publish::Publish;
pub use crate::queue::TitoQueue;
pub use crate::run_worker::run_worker;
pub use crate::worker::Worker;
#[cfg(feature = "derive")]
pub use tito_derive::TitoJob;
