//! What every program with an event store names, and no name that its models may want: `use
//! tito_eventstore::prelude::*;`.

pub use crate::error::EventStoreError;
pub use crate::manager::EventStoreConfig;
pub use crate::store::EventStore;
#[cfg(feature = "derive")]
pub use tito_derive::TitoEventType;
