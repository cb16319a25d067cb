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
#[cfg(feature = "derive")]
pub use tito_derive::TitoEvent;

/// What the derive's output names; not for use by hand.
#[cfg(feature = "derive")]
#[doc(hidden)]
pub mod __private {
    pub use crate::types::derived::*;
    pub use serde;
    pub use tito_core::BoxError;
}
