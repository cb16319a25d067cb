//! How a store is configured.

use std::collections::BTreeMap;

use crate::log::Retention;
use crate::republish::Republish;

/// A store to be created or changed.
///
/// ```
/// use std::time::Duration;
/// use tito_eventstore::{EventStoreConfig, Retention};
///
/// let bank = EventStoreConfig::new("bank")
///     .description("accounts and what happens to them")
///     .retention(Retention::default().age(Duration::from_secs(86_400 * 365)))
///     .republish("bank");
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct EventStoreConfig {
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) metadata: BTreeMap<String, String>,
    pub(crate) retention: Retention,
    pub(crate) republish: Option<String>,
    pub(crate) republish_owned: bool,
    pub(crate) republishing: Vec<Republish>,
    pub(crate) storage: Option<StorageType>,
    pub(crate) replicas: Option<u16>,
    pub(crate) placement: Option<String>,
}

impl EventStoreConfig {
    /// A store without limits.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            description: String::new(),
            metadata: BTreeMap::new(),
            retention: Retention::default(),
            republish: None,
            republish_owned: false,
            republishing: Vec::new(),
            storage: None,
            replicas: None,
            placement: None,
        }
    }

    /// A description for people.
    pub fn description(mut self, description: impl Into<String>) -> Self {
        self.description = description.into();
        self
    }

    /// A text of metadata.
    pub fn metadata(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.metadata.insert(name.into(), value.into());
        self
    }

    /// How much it keeps.
    pub fn retention(mut self, retention: Retention) -> Self {
        self.retention = retention;
        self
    }

    /// Publishes every event to a topic of the outbox, in the transaction that appends it: its entity is the event's,
    /// its action the event's type, and its payload a JSON object of the store, the sequence, the id, the subject, the
    /// time, the version and, of events whose data is JSON, the data.
    pub fn republish(mut self, topic: impl Into<String>) -> Self {
        self.republish = Some(topic.into());
        self
    }

    /// What [`republish`](EventStoreConfig::republish) publishes from now on belongs to the entity of the event,
    /// `type.id`: `TitoQueue::erase_owner("customer.17")` of `tito-worker` erases it, as `erase` does not. Costs one more
    /// small row for each event. [`Republish::owned`] says the same of a rule.
    pub fn republish_owned(mut self) -> Self {
        self.republish_owned = true;
        self
    }

    /// Publishes events by a rule, in addition to others: see [`Republish`].
    pub fn republish_by(mut self, rule: Republish) -> Self {
        self.republishing.push(rule);
        self
    }

    /// Where the events have to be. The engine decides that; anything else than what it does is refused.
    pub fn storage(mut self, storage: StorageType) -> Self {
        self.storage = Some(storage);
        self
    }

    /// How many copies there have to be. The embedded engine has one; a TiKV cluster decides for itself, so there any
    /// number is refused.
    pub fn replicas(mut self, replicas: u16) -> Self {
        self.replicas = Some(replicas);
        self
    }

    /// Where copies have to be. No engine lets a store choose, so any placement is refused.
    pub fn placement(mut self, placement: impl Into<String>) -> Self {
        self.placement = Some(placement.into());
        self
    }
}

/// Where events are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StorageType {
    /// What an append has reported survives the process.
    Durable,
    /// Everything is lost when the engine is closed.
    Memory,
}
