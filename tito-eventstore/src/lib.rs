//! Event sourcing on Tito: append, decide, evolve and watch, in the transactions of the application's rows and outbox
//! events.
//!
//! - [`Manager`]: stores by name;
//! - [`EventStore`]: appends events, reads them, folds them into models, follows them;
//! - [`Event`], [`NewEvent`]: what is stored, and what is to be;
//! - [`Evolver`], [`Decider`], [`Viewer`], [`Command`]: what an application brings; [`Model`] shares a model among tasks;
//! - [`Envelope`]: a command with its id, its time and who asked for it; [`Decision`]: what it came to;
//! - [`Select`], [`Watch`], [`Pattern`]: which events;
//! - [`Snapshot`]: states of models, so that evolving need not begin with the first event;
//! - [`Projection`], [`Projector`]: rows folded from a store by a worker; [`View`] reads them;
//! - [`Reactor`], [`ReactFrom`]: handlers that follow a store as its events come, each done once; a worker runs them;
//! - [`types`]: what events are called, in which version and how their data is written.
//!
//! The source:
//!
//! | folder or file | what it is for |
//! |---|---|
//! | `manager` | stores by name, and what they can be told |
//! | `event`, `types` | events, and their data |
//! | `append` | expectations, ids and sequences; appends that share a transaction |
//! | `read` | pages of events, streams, folding |
//! | `domain`, `model` | what applications implement |
//! | `command` | commands, decided on once |
//! | `watch` | models that follow a store |
//! | `snapshot` | states of models |
//! | `projection` | rows folded from a store |
//! | `react` | handlers that follow a store, with effects |
//! | `republish` | events of the outbox for those of a store |
//! | `erasure` | entities erased |
//! | `retention` | limits kept in the background |

mod append;
mod catch_up;
mod command;
mod data;
mod domain;
mod erasure;
mod error;
pub mod event;
pub mod keys;
mod log;
mod logger;
mod manager;
mod model;
mod pattern;
pub mod prelude;
mod projection;
mod react;
mod read;
mod republish;
mod retention;
mod select;
mod snapshot;
mod store;
mod token;
pub mod types;
mod watch;

pub use command::{Ask, Decision};
pub use domain::{Command, Decider, DeciderEvolver, Envelope, Evolver, RawCommand, Snapshot, Viewer};
pub use erasure::{EntityErasure, ErasedEntities, RemainingEntities};
pub use error::{EventStoreError, Result};
pub use event::{Event, NewEvent};
pub use log::Retention;
pub use manager::{EventStoreConfig, EventStoreInfo, Manager, ManagerBuilder, StorageType};
pub use model::Model;
pub use pattern::Pattern;
pub use projection::{Projection, ProjectionFailure, ProjectionInfo, Projector, RebuildInfo, View};
pub use react::{ReactFrom, Reaction, Reactor, ReactorInfo};
pub use read::{EvolveError, Evolving};
pub use republish::{Republish, RepublishInfo};
pub use select::Select;
pub use store::EventStore;
#[cfg(feature = "derive")]
pub use tito_derive::TitoEventType;
pub use watch::{OnError, Watch, WatchError, Watcher};

/// What the derive's output names; not for use by hand.
#[cfg(feature = "derive")]
#[doc(hidden)]
pub mod __private {
    pub use crate::data::derived::*;
    pub use serde;
    pub use tito_core::BoxError;
}
