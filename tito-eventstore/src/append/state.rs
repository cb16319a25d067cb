//! What a transaction knows of a store, and what appends make of it.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde::{Deserialize, Serialize};
use tito_core::keys::MAX_SEQUENCE;
use tito_core::{KeyText, TitoError};

use super::last::Last;
use super::prepared::{Expected, Prepared};
use crate::error::{EventStoreError, Result};
use crate::pattern::Pattern;
use crate::stored;

/// The end of a store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Head {
    /// The last sequence; 0 before the first event.
    pub(crate) last: u64,
    /// The bytes of all events that were ever appended.
    pub(crate) bytes: u64,
}

impl Head {
    pub(crate) fn decode(key: &[u8], value: &[u8]) -> tito_core::Result<Self> {
        stored::decode("the head of an event store", key, value)
    }

    pub(crate) fn encode(&self) -> tito_core::Result<Vec<u8>> {
        stored::encode("the head of an event store", self)
    }
}

/// An entity's two tokens.
pub(crate) type Entity = (String, String);

/// What an event came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Appended {
    pub(crate) sequence: u64,
    /// Whether its id was new.
    pub(crate) is_new: bool,
}

/// The part of a store that some appends need, as their transaction reads it, and as they change it.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) head: Head,
    /// The sequences of ids; what is not here is new.
    pub(crate) ids: HashMap<String, u64>,
    /// What is missing has no event.
    pub(crate) entities: HashMap<Entity, Last>,
    /// Of all types where an expectation is about any of them.
    pub(crate) types: BTreeMap<String, Last>,
    pub(crate) changed_entities: HashSet<Entity>,
    pub(crate) changed_types: HashSet<String>,
}

impl State {
    /// Appends events as a whole, or refuses them as a whole: then nothing is changed.
    pub(crate) fn append(&mut self, events: &[Prepared]) -> Result<Vec<Appended>> {
        let is_new = |event: &&Prepared| !self.ids.contains_key(&event.id);
        for event in events.iter().filter(is_new) {
            self.check(event)?;
        }
        if self.head.last + events.len() as u64 > MAX_SEQUENCE {
            let (size, limit) = (events.len(), (MAX_SEQUENCE - self.head.last) as usize);
            return Err(TitoError::LimitExceeded { what: "a store in events", size, limit, key: no_key() }.into());
        }
        Ok(events.iter().map(|event| self.append_one(event)).collect())
    }

    fn append_one(&mut self, event: &Prepared) -> Appended {
        if let Some(&sequence) = self.ids.get(&event.id) {
            return Appended { sequence, is_new: false };
        }
        self.head.last += 1;
        let sequence = self.head.last;
        self.ids.insert(event.id.clone(), sequence);
        let entity = (event.entity_type.clone(), event.entity_id.clone());
        self.entities.entry(entity.clone()).or_default().set(&event.data.event_type, sequence);
        self.changed_entities.insert(entity);
        self.types.entry(event.entity_type.clone()).or_default().set(&event.data.event_type, sequence);
        self.changed_types.insert(event.entity_type.clone());
        Appended { sequence, is_new: true }
    }

    fn check(&self, event: &Prepared) -> Result<()> {
        let Some(Expected { pattern, shown, sequence }) = &event.expected else { return Ok(()) };
        let actual = self.last_of(pattern);
        if actual == *sequence {
            return Ok(());
        }
        Err(EventStoreError::SequenceConflict {
            event: event.id.clone(),
            pattern: shown.clone(),
            expected: *sequence,
            actual,
        })
    }

    /// The last sequence of what a pattern selects.
    fn last_of(&self, pattern: &Pattern) -> u64 {
        let event_type = pattern.event_type();
        match (pattern.entity_type(), pattern.id()) {
            (None, None) if event_type.is_none() => self.head.last,
            (None, None) => self.types.values().map(|last| last.of(event_type)).max().unwrap_or(0),
            (Some(entity_type), None) => self.types.get(entity_type).map_or(0, |last| last.of(event_type)),
            (entity_type, Some(id)) => {
                let matching = self.entities.iter().filter(|((of_type, of_id), _)| {
                    of_id == id && entity_type.is_none_or(|entity_type| entity_type == of_type)
                });
                matching.map(|(_, last)| last.of(event_type)).max().unwrap_or(0)
            }
        }
    }
}

fn no_key() -> KeyText {
    KeyText::from(Vec::new())
}
