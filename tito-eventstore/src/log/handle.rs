//! The log of a store, as everything above holds it.

use std::sync::Arc;

use tito_core::Database;

use super::shared::Shared;
use crate::logger::Logger;
use crate::types::Registry;

/// The log of a store. Clones are the same log.
#[derive(Clone, Debug)]
pub(crate) struct Log {
    shared: Arc<Shared>,
    name: Arc<str>,
    id: u64,
    /// Where the appends of this process, and the deletion of the store, are announced.
    channel: Arc<str>,
}

impl Log {
    pub(crate) fn new(shared: Arc<Shared>, name: &str, id: u64) -> Self {
        Self { shared, name: name.into(), id, channel: channel(id) }
    }

    /// The store's name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    pub(crate) fn database(&self) -> &Database {
        &self.shared.database
    }

    pub(crate) fn channel(&self) -> &Arc<str> {
        &self.channel
    }

    pub(crate) fn types(&self) -> Option<&Registry> {
        self.shared.types.as_ref()
    }

    pub(crate) fn logger(&self) -> &Logger {
        &self.shared.logger
    }

    /// An id for an event that is made at a time, and whether it is certain to be new.
    pub(crate) fn next_id(&self, now_millis: u64) -> (String, bool) {
        self.shared.next_id(now_millis)
    }

    /// What the manager's clock shows.
    pub(crate) fn now_millis(&self) -> u64 {
        self.shared.clock.now_millis()
    }
}

/// Where the changes of a store are announced. No topic has such a name.
pub(crate) fn channel(id: u64) -> Arc<str> {
    format!("log:{id:016x}").into()
}
