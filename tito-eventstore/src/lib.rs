//! Event sourcing on Tito.

mod domain;
mod error;
pub mod event;
mod pattern;
mod snapshot;
mod token;
pub mod types;

pub use domain::{Command, Decider, DeciderEvolver, Evolver, Viewer};
pub use error::{EventStoreError, Result};
pub use event::{Event, NewEvent};
pub use pattern::Pattern;
pub use snapshot::Snapshot;
