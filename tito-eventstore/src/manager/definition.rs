//! What is stored of a store.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tito_core::keeps_unknown_members;
use tito_core::row::{self, StoredRow, UnknownMembers};

use super::config::{EventStoreConfig, Retention};
use crate::append::Head;
use crate::error::Result;
use crate::republish::{RepublishInfo, Rule};

/// A store, as it is stored under its name. `docs/format.md` specifies it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Definition {
    pub(crate) id: u64,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    description: String,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    metadata: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max_events: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max_bytes: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max_age_seconds: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) republish: Option<String>,
    /// The rules by which events are published.
    #[serde(default, skip_serializing_if = "Vec::is_empty", with = "row::nested")]
    pub(crate) republishing: Vec<Rule>,
    /// The projections that are woken by appends.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub(crate) projections: BTreeSet<String>,
    #[serde(skip)]
    unknown: UnknownMembers,
}

/// The beginning of a store: what was dropped of it. Apart from its head, so that dropping is in no append's way.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Tail {
    /// The last sequence that was dropped; 0 if none was.
    pub(crate) dropped: u64,
    /// The bytes of all events that were dropped.
    pub(crate) bytes: u64,
    /// Of all events after this one that were dropped, it is noted what they were of. None are if it is not there: a
    /// program that does not note it writes no such number either.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) noted_after: Option<u64>,
    #[serde(skip)]
    pub(crate) unknown: UnknownMembers,
}

keeps_unknown_members!(Definition, Tail);

impl StoredRow for Definition {
    const EXPECTED: &'static str = "the definition of an event store";
}

impl StoredRow for Tail {
    const EXPECTED: &'static str = "the tail of an event store";
}

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
            ..self
        })
    }

    pub(crate) fn retention(&self) -> Retention {
        let age = self.max_age_seconds.map(Duration::from_secs);
        Retention { events: self.max_events, bytes: self.max_bytes, age }
    }

    pub(super) fn info(self, name: String, head: Head, tail: Tail) -> EventStoreInfo {
        EventStoreInfo {
            name,
            retention: self.retention(),
            description: self.description,
            metadata: self.metadata,
            republish: self.republish,
            republishing: self.republishing.iter().map(Rule::info).collect(),
            first_sequence: tail.dropped.saturating_add(1),
            last_sequence: head.last,
            events: head.last.saturating_sub(tail.dropped),
            bytes: head.bytes.saturating_sub(tail.bytes),
        }
    }
}

/// What there is to know of a store.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct EventStoreInfo {
    /// Its name.
    pub name: String,
    /// What people should know of it.
    pub description: String,
    /// Texts beside it.
    pub metadata: BTreeMap<String, String>,
    /// How much it keeps.
    pub retention: Retention,
    /// The topic to which its events are published.
    pub republish: Option<String>,
    /// The rules by which its events are published as well.
    pub republishing: Vec<RepublishInfo>,
    /// The first sequence that was not dropped: one more than the last if there is no event.
    pub first_sequence: u64,
    /// The last sequence that was given, 0 before the first event.
    pub last_sequence: u64,
    /// How many events there are.
    pub events: u64,
    /// The bytes of these, each counted once.
    pub bytes: u64,
}
