//! Event sourcing on Tito: append, decide, evolve and watch, in the transactions of the application's rows and outbox
//! events.
//!
//! ```
//! use tito_core::BoxError;
//! use tito_core::prelude::*;
//! use tito_eventstore::{
//!     Command, Decider, Event, EventStoreConfig, EventStoreError, Evolver, Manager, NewEvent, Select, TitoEventType,
//! };
//!
//! #[derive(TitoEventType)]
//! enum AccountEvent {
//!     Deposited { cents: u64 },
//!     Withdrawn { cents: u64 },
//! }
//!
//! #[derive(Default)]
//! struct Account {
//!     cents: u64,
//! }
//!
//! impl Evolver for Account {
//!     fn evolve(&mut self, event: &Event) -> Result<(), BoxError> {
//!         match event.data()? {
//!             AccountEvent::Deposited { cents } => self.cents += cents,
//!             AccountEvent::Withdrawn { cents } => self.cents -= cents,
//!         }
//!         Ok(())
//!     }
//! }
//!
//! struct Withdraw(u64);
//!
//! impl Command for Withdraw {}
//!
//! impl Decider<Withdraw> for Account {
//!     fn decide(&self, command: &Withdraw) -> Result<Vec<NewEvent>, BoxError> {
//!         if command.0 > self.cents {
//!             return Err("there is not enough".into());
//!         }
//!         Ok(vec![NewEvent::new("account.17", AccountEvent::Withdrawn { cents: command.0 })])
//!     }
//! }
//!
//! #[tokio::main(flavor = "current_thread")]
//! async fn main() -> Result<(), EventStoreError> {
//!     let db = Database::open("memory:").await?;
//!     let bank = Manager::new(db).create_event_store(EventStoreConfig::new("bank")).await?;
//!     bank.append([NewEvent::new("account.17", AccountEvent::Deposited { cents: 500 })]).await?;
//!
//!     let mut account = Account::default();
//!     bank.evolve(&mut account, Select::all()).await?;
//!     bank.decide_and_evolve(&mut account, &Withdraw(200)).await?;
//!     assert_eq!(account.cents, 300);
//!     assert!(bank.decide_and_evolve(&mut account, &Withdraw(400)).await.is_err());
//!     Ok(())
//! }
//! ```
//!
//! - [`Manager`]: creates and finds stores by name;
//! - [`EventStore`]: appends events, reads them, folds them into models, follows them;
//! - [`Event`], [`NewEvent`]: an event that is stored, and one to be appended;
//! - [`Evolver`], [`Decider`], [`Viewer`], [`Command`]: what an application implements; [`Model`] shares a model among
//!   tasks;
//! - [`Envelope`]: a command with its id, its time and who asked for it; [`Decision`]: its result;
//! - [`Select`], [`Watch`], [`Pattern`]: which events;
//! - [`Snapshot`]: stored states of models, so that evolving need not begin with the first event;
//! - [`Projection`], [`Projector`]: rows folded from a store by a worker; [`View`] reads them;
//! - [`Reactor`], [`ReactFrom`]: handlers that follow a store as its events come, each done once; a worker runs them;
//! - [`types`]: what events are called, in which version and how their data is written.
//!
//! [`prelude`] has what every program with a store names, and no name that a model may want. [The
//! guide](https://github.com/tito-rs/tito/blob/main/docs/guide/event-store.md) says how to use all of it.
//!
//! # Features
//!
//! | feature | default | what it adds |
//! |---|---|---|
//! | `derive` | yes | `#[derive(TitoEventType)]` |
//! | `messagepack`, `protobuf` | yes | codecs in addition to JSON and bytes |
//! | `tikv` | no | the TiKV engine of `tito-core` |
//!
//! # The source
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
//! | `check` | a store looked through by what its application knows of it |

mod append;
mod catch_up;
mod check;
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

pub use check::{StoreCheck, StoreChecking, StoreFault, StoreReport};
pub use command::{Ask, Decision};
pub use domain::{Command, Decider, DeciderEvolver, Envelope, Evolver, RawCommand, Snapshot, Viewer};
pub use erasure::{EntityErasure, EntitySearch, ErasedEntities, RemainingEntities};
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

/// For the derive's output; not for use by hand.
#[cfg(feature = "derive")]
#[doc(hidden)]
pub mod __private {
    pub use crate::data::derived::*;
    pub use serde;
    pub use tito_core::BoxError;
}
