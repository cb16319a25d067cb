//! Tito's core: models whose rows, index entries and events are written in one transaction, on any engine.
//!
//! ```
//! use serde::{Deserialize, Serialize};
//! use tito_core::prelude::*;
//!
//! #[derive(Clone, Serialize, Deserialize, TitoModel)]
//! #[tito(event = "user")] // every write publishes one
//! struct User {
//!     id: String,
//!     #[tito(index)]
//!     email: String,
//! }
//!
//! #[tokio::main(flavor = "current_thread")]
//! async fn main() -> Result<(), TitoError> {
//!     let db = Database::open("memory:").await?;
//!     let users = db.model::<User>();
//!     let ada = User { id: "ada".into(), email: "ada@example.com".into() };
//!     db.transaction(|tx| async move {
//!         users.insert(&ada, &tx).await?;
//!         let found = users.query(User::BY_EMAIL).equals("ada@example.com").first(&tx).await?;
//!         assert_eq!(found.map(|user| user.id), Some("ada".to_string()));
//!         Ok(())
//!     })
//!     .await
//! }
//! ```
//!
//! - [`database`]: what a program holds: a [`Database`], and a [`Transaction`];
//! - [`engine`]: the contract of an engine, for those who write one;
//! - [`embedded`]: the engine for one machine;
//! - `tikv`: the engine for a TiKV cluster, behind the feature of that name;
//! - [`model`]: rows, indexes and queries;
//! - [`event`]: what is stored of events;
//! - [`keys`]: the layout of everything that is stored;
//! - [`row`]: how rows are read and written as JSON;
//! - [`trace`]: the trace context that events carry.
//!
//! [`prelude`] has what every program names, and no name that a model may want.
//! [tito-worker](https://docs.rs/tito-worker) consumes the events, and [the
//! guide](https://github.com/tito-rs/tito/blob/main/docs/guide/README.md) says how to use all of it.
//!
//! # Features
//!
//! | feature | default | what it adds |
//! |---|---|---|
//! | `embedded` | yes | the engine for one machine, `EmbeddedBackend` |
//! | `derive` | yes | `#[derive(TitoModel)]` |
//! | `tikv` | no | the engine for a TiKV cluster, `TiKVBackend`; needs a C compiler |

pub mod clock;
pub mod database;
#[cfg(feature = "embedded")]
pub mod embedded;
pub mod engine;
mod error;
pub mod event;
pub mod keys;
pub mod model;
mod names;
mod open;
pub mod panics;
pub mod prelude;
pub mod row;
#[cfg(feature = "tikv")]
pub mod tikv;
mod timestamp;
pub mod trace;
mod version;

pub use database::{Database, DatabaseSnapshot, Transaction, TxOptions};
pub use engine::{TitoEngine, TitoSnapshot, TitoTransaction};
pub use error::{BoxError, KeyText, Result, SharedError, TitoError};
pub use names::{check_event_type, check_name};
pub use timestamp::{Now, Timestamp};
#[cfg(feature = "derive")]
pub use tito_derive::TitoModel;

/// For the output of macros; not for use by hand.
#[doc(hidden)]
pub mod __private {
    pub use chrono;
    pub use serde::{Serialize, Serializer};
    pub use std::borrow::Cow;

    pub use crate::names::checked_topic_name;
}
