//! What all stores of a manager share.

use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Mutex};

use tito_core::Database;
use tito_core::clock::Clock;
use tracing::Dispatch;

use super::{Inner, Manager};
use crate::log::{Background, Ids, Shared};
use crate::logger::Logger;
use crate::types::Registry;

/// Options of a [`Manager`].
#[must_use]
pub struct ManagerBuilder {
    database: Database,
    clock: Arc<dyn Clock>,
    ids: Option<Ids>,
    types: Option<Registry>,
    logger: Logger,
}

impl ManagerBuilder {
    pub(super) fn new(database: Database) -> Self {
        Self { clock: database.clock().clone(), database, ids: None, types: None, logger: Logger::default() }
    }

    /// The clock that gives a time to events appended without one. Default: the engine's.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Generates the ids of events that are appended without one. They have to be unique within a store. Default: UUIDs
    /// of version 7.
    pub fn ids(mut self, ids: impl Fn() -> String + Send + Sync + 'static) -> Self {
        self.ids = Some(Arc::new(ids));
        self
    }

    /// The event types that may be appended, each with its Rust type, and how old versions are read. Without a registry
    /// any event may be appended, and none has an upcaster.
    pub fn types(mut self, types: Registry) -> Self {
        self.types = Some(types);
        self
    }

    /// Where the stores and their background tasks log to. Default: the caller's subscriber, and for background tasks
    /// the global one.
    ///
    /// ```
    /// use tito_core::prelude::*;
    /// use tito_eventstore::Manager;
    /// use tracing::Dispatch;
    ///
    /// # fn example(db: Database) {
    /// let quiet = Manager::builder(db).logger(Dispatch::none()).build();
    /// # }
    /// ```
    pub fn logger(mut self, logger: Dispatch) -> Self {
        self.logger = Logger(Some(logger));
        self
    }

    /// The manager. Its background work begins with its first store.
    pub fn build(self) -> Manager {
        let Self { database, clock, ids, types, logger } = self;
        let (made, background) = (AtomicU32::new(0), Background::default());
        let shared = Arc::new(Shared { database, clock, ids, types, logger, made, background });
        Manager(Arc::new(Inner { shared, groups: Mutex::default() }))
    }
}
