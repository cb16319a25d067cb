//! Stores by name.
//!
//! | file | idea |
//! |---|---|
//! | `config` | what a store can be told |
//! | `definition` | a definition as a configuration has it, what there is to know of a store |
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
use std::sync::{Arc, Mutex, PoisonError};

use tito_core::Database;

pub use self::builder::ManagerBuilder;
pub use self::config::{EventStoreConfig, StorageType};
pub use self::definition::EventStoreInfo;
use crate::append::GroupCommit;
use crate::log::Shared;

/// The event stores of a database. Clones are the same manager.
///
/// Appends of one process share transactions if they come from one manager, so a program should have one for each
/// engine. It logs through `tracing`, to [its own dispatcher](ManagerBuilder::logger) if it has one.
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
    shared: Arc<Shared>,
    /// By the number of the store.
    groups: Mutex<HashMap<u64, Arc<GroupCommit>>>,
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
        &self.0.shared.database
    }

    /// Stops the manager's background work, and waits until it has ended.
    pub async fn close(&self) {
        self.0.shared.background.end().await;
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
