//! A store's definition as a configuration has it, and what there is to know of a store.

use std::collections::{BTreeMap, BTreeSet};

use tito_core::row::UnknownMembers;

use super::config::EventStoreConfig;
use crate::error::Result;
use crate::log::{Definition, Head, Kept, Retention, Tail};
use crate::republish::{RepublishInfo, Rule};

impl Definition {
    pub(super) fn new(id: u64, config: &EventStoreConfig) -> Result<Self> {
        let empty = Self {
            id,
            description: String::new(),
            metadata: BTreeMap::new(),
            max_events: None,
            max_bytes: None,
            max_age_seconds: None,
            republish: None,
            republish_owned: false,
            republishing: Vec::new(),
            projections: BTreeSet::new(),
            unknown: UnknownMembers::default(),
        };
        empty.changed(config, 0)
    }

    /// What can be changed, as the configuration has it, of a store with a last sequence. Rules that it had already go
    /// on where they are.
    pub(super) fn changed(mut self, config: &EventStoreConfig, last: u64) -> Result<Self> {
        let mut known = std::mem::take(&mut self.republishing);
        let mut rules = Vec::with_capacity(config.republishing.len());
        for rule in &config.republishing {
            rules.push(match known.iter().position(|known| known.is(rule)) {
                Some(at) => known.swap_remove(at),
                None => Rule::new(&config.name, rule, last)?,
            });
        }
        Ok(Self {
            republishing: rules,
            description: config.description.clone(),
            metadata: config.metadata.clone(),
            max_events: config.retention.events,
            max_bytes: config.retention.bytes,
            max_age_seconds: config.retention.age.map(|age| age.as_secs()),
            republish: config.republish.clone(),
            republish_owned: config.republish_owned,
            ..self
        })
    }
}

/// Information about a store.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct EventStoreInfo {
    /// Its name.
    pub name: String,
    /// Its description for people.
    pub description: String,
    /// Its metadata.
    pub metadata: BTreeMap<String, String>,
    /// How much it keeps.
    pub retention: Retention,
    /// The topic to which its events are published.
    pub republish: Option<String>,
    /// Whether what is published to it belongs to the events' entities.
    pub republish_owned: bool,
    /// The rules by which its events are published as well.
    pub republishing: Vec<RepublishInfo>,
    /// The first sequence that was not dropped: one more than the last if there is no event.
    pub first_sequence: u64,
    /// The last sequence, 0 before the first event.
    pub last_sequence: u64,
    /// How many events there are.
    pub events: u64,
    /// The bytes of these, each counted once.
    pub bytes: u64,
}

impl EventStoreInfo {
    pub(super) fn of(definition: Definition, name: String, head: &Head, tail: &Tail) -> Result<Self> {
        let kept = Kept::between(definition.id, tail, head)?;
        Ok(Self {
            name,
            retention: definition.retention(),
            description: definition.description,
            metadata: definition.metadata,
            republish: definition.republish,
            republish_owned: definition.republish_owned,
            republishing: definition.republishing.iter().map(Rule::info).collect(),
            first_sequence: tail.dropped + 1,
            last_sequence: head.last,
            events: kept.events,
            bytes: kept.bytes,
        })
    }
}
