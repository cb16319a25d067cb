//! Stores by name.
//!
//! | file | idea |
//! |---|---|
//! | `config` | what a store can be told |
//! | `definition` | what is stored of a store |
//! | `honour` | whether an engine can do what a store asks of it |
//! | `builder` | what all stores of a manager share |
//! | `lifecycle` | create, get, list, update, delete |

mod builder;
mod config;
mod definition;
mod honour;
mod lifecycle;

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tito_core::clock::Clock;
use tito_core::event::event_id;
use tito_core::{Database, Timestamp};

pub use self::builder::ManagerBuilder;
pub use self::config::{EventStoreConfig, Retention, StorageType};
pub use self::definition::EventStoreInfo;
pub(crate) use self::definition::{Definition, Tail};
pub(crate) use self::lifecycle::read_definition;
use crate::append::GroupCommit;
use crate::logger::Logger;
use crate::retention::Sweeper;
use crate::types::Registry;

/// Makes ids of events.
pub(crate) type Ids = Arc<dyn Fn() -> String + Send + Sync>;

/// The event stores of a database. Clones are the same manager.
///
/// Appends of one process share transactions if they come from one manager, so a program has one for each engine. What
/// it logs goes to `tracing`, to a [dispatcher of its own](ManagerBuilder::logger) if it has one.
///
/// ```
/// use tito_core::prelude::*;
/// use tito_eventstore::{EventStoreConfig, Manager, NewEvent};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let manager = Manager::new(EmbeddedBackend::in_memory().await?);
/// let bank = manager.create_event_store(EventStoreConfig::new("bank")).await?;
/// assert_eq!(bank.append(NewEvent::raw("account.17", "opened", "ada")).await?, 1);
/// # Ok(())
/// # }
/// ```
pub struct Manager(Arc<Inner>);

struct Inner {
    database: Database,
    clock: Arc<dyn Clock>,
    ids: Option<Ids>,
    types: Option<Registry>,
    logger: Logger,
    /// How many ids were made.
    made: AtomicU32,
    /// By the number of the store.
    groups: Mutex<HashMap<u64, Arc<GroupCommit>>>,
    sweeper: Sweeper,
}

impl Manager {
    /// A manager of the stores of a database.
    pub fn new(database: Database) -> Self {
        Self::builder(database).build()
    }

    /// A manager with a clock, ids or types of its own.
    pub fn builder(database: Database) -> ManagerBuilder {
        ManagerBuilder::new(database)
    }

    /// The database.
    pub fn database(&self) -> &Database {
        &self.0.database
    }

    pub(crate) fn types(&self) -> Option<&Registry> {
        self.0.types.as_ref()
    }

    pub(crate) fn logger(&self) -> &Logger {
        &self.0.logger
    }

    pub(crate) fn clock(&self) -> &dyn Clock {
        &*self.0.clock
    }

    /// An id, and whether it is certain to be new.
    pub(crate) fn next_id(&self) -> (String, bool) {
        match &self.0.ids {
            Some(ids) => (ids(), false),
            None => {
                let now = Timestamp::from_millis(self.clock().now_millis());
                let number = self.0.made.fetch_add(1, Ordering::Relaxed);
                (event_id(now, number, fastrand::u64(..)).to_string(), true)
            }
        }
    }

    /// Ends what the manager does in the background, and waits until it has ended.
    pub async fn close(&self) {
        self.0.sweeper.end().await;
    }

    fn group(&self, store: u64) -> Arc<GroupCommit> {
        let mut groups = self.0.groups.lock().unwrap_or_else(PoisonError::into_inner);
        // Those that no handle has any more hold nothing.
        groups.retain(|id, group| *id == store || Arc::strong_count(group) > 1);
        groups.entry(store).or_default().clone()
    }
}

impl Clone for Manager {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl fmt::Debug for Manager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Manager").finish_non_exhaustive()
    }
}
