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
    /// The last sequence of its entity before it, if its id was new.
    pub(crate) previous: u64,
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
        if self.head.last.saturating_add(events.len() as u64) > MAX_SEQUENCE {
            let (size, limit) = (events.len(), MAX_SEQUENCE.saturating_sub(self.head.last) as usize);
            return Err(TitoError::LimitExceeded { what: "a store in events", size, limit, key: no_key() }.into());
        }
        Ok(events.iter().map(|event| self.append_one(event)).collect())
    }

    fn append_one(&mut self, event: &Prepared) -> Appended {
        if let Some(&sequence) = self.ids.get(&event.id) {
            return Appended { sequence, previous: 0, is_new: false };
        }
        self.head.last += 1;
        let sequence = self.head.last;
        self.ids.insert(event.id.clone(), sequence);
        let entity = (event.entity_type.clone(), event.entity_id.clone());
        let last = self.entities.entry(entity.clone()).or_default();
        let previous = last.of(None);
        last.set(&event.data.event_type, sequence);
        self.changed_entities.insert(entity);
        self.types.entry(event.entity_type.clone()).or_default().set(&event.data.event_type, sequence);
        self.changed_types.insert(event.entity_type.clone());
        Appended { sequence, previous, is_new: true }
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;
    use crate::event::Unencoded;
    use crate::types::Codec;

    #[derive(Clone, Debug)]
    struct Given {
        id: u8,
        subject: [&'static str; 3],
        expected: Option<(String, u64)>,
    }

    fn given() -> impl Strategy<Value = Given> {
        let token = || prop_oneof![Just("a"), Just("b"), Just("c")];
        let part = || prop_oneof![Just("*"), Just("a"), Just("b"), Just("c")];
        let pattern = [part(), part(), part()].prop_map(|parts| parts.join("."));
        let expected = proptest::option::of((pattern, 0u64..8));
        let subject = [token(), token(), token()];
        (any::<u8>(), subject, expected).prop_map(|(id, subject, expected)| Given { id: id % 24, subject, expected })
    }

    fn prepared(given: &Given) -> Prepared {
        let [entity_type, entity_id, event_type] = given.subject.map(ToString::to_string);
        let expected = given.expected.clone().map(|(shown, sequence)| Expected {
            pattern: shown.parse().unwrap(),
            shown,
            sequence,
        });
        let data = Unencoded { event_type, version: 1, codec: Codec::Binary, bytes: Vec::new(), of: None };
        let id = given.id.to_string();
        Prepared { id, time: 0, entity_type, entity_id, metadata: BTreeMap::new(), expected, data }
    }

    /// The store as a list of ids and subjects, in which everything is looked for from the beginning.
    fn append_to(list: &mut Vec<(u8, [&'static str; 3])>, batch: &[Given]) -> Option<Vec<u64>> {
        let sequence_of = |list: &[(u8, [&str; 3])], id: u8| list.iter().position(|(of, _)| *of == id);
        for event in batch {
            let Some((pattern, sequence)) = &event.expected else { continue };
            if sequence_of(list, event.id).is_some() {
                continue;
            }
            let wanted: Vec<&str> = pattern.split('.').collect();
            let selects = |subject: &[&str; 3]| (0..3).all(|place| ["*", subject[place]].contains(&wanted[place]));
            let last = list.iter().rposition(|(_, subject)| selects(subject)).map_or(0, |at| at as u64 + 1);
            if last != *sequence {
                return None;
            }
        }
        let mut sequences = Vec::new();
        for event in batch {
            if sequence_of(list, event.id).is_none() {
                list.push((event.id, event.subject));
            }
            sequences.extend(sequence_of(list, event.id).map(|at| at as u64 + 1));
        }
        Some(sequences)
    }

    proptest! {
        #[test]
        fn appends_come_to_what_a_list_of_them_says(
            batches in proptest::collection::vec(proptest::collection::vec(given(), 1..4), 1..30),
        ) {
            let (mut state, mut list) = (State::default(), Vec::new());
            for batch in batches {
                let events: Vec<_> = batch.iter().map(prepared).collect();
                let appended = state.append(&events).ok();
                let sequences = appended.map(|all| all.iter().map(|event| event.sequence).collect::<Vec<_>>());
                prop_assert_eq!(sequences, append_to(&mut list, &batch));
                prop_assert_eq!(state.head.last, list.len() as u64);
            }
        }
    }
}
