//! What a transaction knows of a store, and what appends make of it.

use std::collections::HashMap;

use crate::keys::MAX_SEQUENCE;
use tito_core::{KeyText, Timestamp, TitoError};

use super::known::{Entry, Known};
use super::prepared::{Append, Prepared};
use super::taken::{Own, Taken};
use crate::error::{EventStoreError, Result};
use crate::log::{Decided, Head};
use crate::pattern::Pattern;

const READ: &str = "everything that the events of an append are about was read, so there is an entry for it";

/// What an event came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Appended {
    pub(crate) sequence: u64,
    /// The last sequence of its entity before it, if its id was new.
    pub(crate) previous: u64,
    /// Whether its id was new.
    pub(crate) is_new: bool,
}

/// What an append came to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outcome {
    /// What each of its events came to; that of the first time if its command was repeated.
    pub(crate) appended: Vec<Appended>,
    /// The start of the transaction that appended them.
    pub(crate) recorded: Timestamp,
    /// Whether its command was decided on before, so that nothing was appended.
    pub(crate) is_repeated: bool,
    /// Whether an earlier run of it, whose outcome was not known, turned out to have appended it.
    pub(crate) is_there: bool,
}

impl Outcome {
    /// The last sequence.
    pub(crate) fn last(&self) -> u64 {
        self.appended.iter().map(|event| event.sequence).max().expect("an append is of an event at least")
    }
}

/// The part of a store that some appends need, as their transaction reads it, and as they change it.
#[derive(Debug, Default)]
pub(crate) struct State<'a> {
    pub(super) head: Head,
    /// The ids that are taken; what is not here is new.
    pub(super) ids: HashMap<&'a str, Taken<'a>>,
    /// The commands that were decided on.
    pub(super) commands: HashMap<&'a str, Decided>,
    /// Of all types where an expectation is about any of them.
    pub(super) known: Known,
    /// Whether ids that were made up are new without a look at those that are taken.
    pub(super) made_ids: bool,
    /// Whether first sequences are noted, as events may be dropped.
    pub(super) notes_first: bool,
}

impl<'a> State<'a> {
    /// Appends what a command came to, unless it was decided on before.
    pub(super) fn append(&mut self, append: &'a Append, recorded: Timestamp) -> Result<Outcome> {
        let Append { events, command } = append;
        if let Some(Own { recorded, .. }) = self.own(events) {
            let appended = self.append_events(events)?;
            return Ok(Outcome { appended, recorded, is_repeated: false, is_there: true });
        }
        if let Some(command) = command
            && let Some(decided) = self.commands.get(&*command.id)
        {
            decided.check(command)?;
            let before = |&sequence| Appended { sequence, previous: 0, is_new: false };
            let appended = decided.sequences.iter().map(before).collect();
            return Ok(Outcome { appended, recorded, is_repeated: true, is_there: false });
        }
        let appended = self.append_events(events)?;
        if let Some(command) = command {
            let sequences = appended.iter().map(|event| event.sequence).collect();
            self.commands.insert(&command.id, Decided::new(command, sequences));
        }
        Ok(Outcome { appended, recorded, is_repeated: false, is_there: false })
    }

    /// What an earlier run has appended of these events, if it has, and all of them are there. Where some were erased
    /// meanwhile, they are appended anew, and the others are there like any that were before.
    fn own(&mut self, events: &[Prepared]) -> Option<Own> {
        let own = events.iter().find_map(|event| self.taken(event)?.own)?;
        if events.iter().all(|event| self.ids.contains_key(event.id.as_str())) {
            return Some(own);
        }
        for event in events {
            if let Some(taken) = self.ids.get_mut(event.id.as_str()) {
                taken.own = None;
            }
        }
        None
    }

    /// Appends events as a whole, or refuses them as a whole: then nothing is changed.
    fn append_events(&mut self, events: &'a [Prepared]) -> Result<Vec<Appended>> {
        let mut size = 0;
        let mut ids = HashMap::new();
        for event in events {
            if let Some(taken) = self.taken(event) {
                taken.check(event)?;
                continue;
            }
            self.check(event)?;
            if !self.is_new(event) {
                ids.entry(event.id.as_str()).or_insert_with(|| Taken::new(0, event)).check(event)?;
            }
            size += 1;
        }
        let limit = usize::try_from(MAX_SEQUENCE.saturating_sub(self.head.last)).unwrap_or(usize::MAX);
        if size > limit {
            let key = KeyText::from(Vec::new());
            let what = "an append in events, by the sequences that the store has left,";
            return Err(TitoError::LimitExceeded { what, size, limit, key }.into());
        }
        Ok(events.iter().map(|event| self.append_one(event)).collect())
    }

    fn is_new(&self, event: &Prepared) -> bool {
        self.made_ids && event.is_id_new
    }

    /// What has an event's id, if anything has.
    fn taken(&self, event: &Prepared) -> Option<&Taken<'a>> {
        if self.is_new(event) { None } else { self.ids.get(event.id.as_str()) }
    }

    fn append_one(&mut self, event: &'a Prepared) -> Appended {
        if !self.is_new(event)
            && let Some(taken) = self.ids.get_mut(event.id.as_str())
        {
            // It is new once, whoever comes with the id as well.
            let own = taken.own.take();
            return Appended {
                sequence: taken.sequence,
                previous: own.map_or(0, |own| own.previous),
                is_new: own.is_some(),
            };
        }
        self.head.last += 1;
        let sequence = self.head.last;
        self.ids.insert(&event.id, Taken::new(sequence, event));
        let notes_first = self.notes_first;
        let previous = set(self.known.entities.get_mut(event.entity()), event, sequence, notes_first);
        set(self.known.types.get_mut(event.entity_type()), event, sequence, notes_first);
        Appended { sequence, previous, is_new: true }
    }

    fn check(&self, event: &Prepared) -> Result<()> {
        let Some(expected) = &event.expected else { return Ok(()) };
        let (actual, shown) = match &expected.of {
            None => (self.last_of_entity(event.entity(), None), event.entity()),
            Some(of) => (self.last_of(&of.0), of.1.as_str()),
        };
        if actual == expected.sequence {
            return Ok(());
        }
        Err(EventStoreError::SequenceConflict {
            event: event.id.clone(),
            pattern: shown.to_string(),
            expected: expected.sequence,
            actual,
        })
    }

    /// The last sequence of what a pattern selects.
    fn last_of(&self, pattern: &Pattern) -> u64 {
        let event_type = pattern.event_type();
        match (pattern.entity_type(), pattern.id()) {
            (None, None) if event_type.is_none() => self.head.last,
            (None, None) => self.known.types.values().map(|entry| entry.last.of(event_type)).max().unwrap_or(0),
            (Some(entity_type), None) => self.known.types.get(entity_type).expect(READ).last.of(event_type),
            (Some(entity_type), Some(id)) => self.last_of_entity(&format!("{entity_type}.{id}"), event_type),
            (None, Some(id)) => {
                let of_type = |entity_type: &String| self.last_of_entity(&format!("{entity_type}.{id}"), event_type);
                self.known.types.keys().map(of_type).max().unwrap_or(0)
            }
        }
    }

    fn last_of_entity(&self, entity: &str, event_type: Option<&str>) -> u64 {
        self.known.entities.get(entity).expect(READ).last.of(event_type)
    }
}

/// Notes an event, and returns the last sequence before it.
fn set(entry: Option<&mut Entry>, event: &Prepared, sequence: u64, notes_first: bool) -> u64 {
    let entry = entry.expect(READ);
    let previous = entry.last.of(None);
    if notes_first {
        entry.last.note_first(sequence);
    }
    entry.last.set(&event.data.event_type, sequence);
    entry.is_changed = true;
    previous
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;
    use crate::append::prepared::prepare_one;
    use crate::event::NewEvent;

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
        let [entity_type, entity_id, event_type] = given.subject;
        let event = NewEvent::raw(format!("{entity_type}.{entity_id}"), event_type, "data").id(given.id.to_string());
        let event = match &given.expected {
            Some((pattern, sequence)) => event.expect_sequence_of(pattern.as_str(), *sequence),
            None => event,
        };
        prepare_one(event, None, 0, || unreachable!()).unwrap()
    }

    /// The store as a list of ids and subjects, in which everything is looked for from the beginning.
    fn append_to(list: &mut Vec<(u8, [&'static str; 3])>, batch: &[Given]) -> Option<Vec<u64>> {
        let sequence_of = |list: &[(u8, [&str; 3])], id: u8| list.iter().position(|(of, _)| *of == id);
        let mut subjects: Vec<(u8, [&'static str; 3])> = list.clone();
        for event in batch {
            match subjects.iter().find(|(id, _)| *id == event.id) {
                Some((_, subject)) if *subject != event.subject => return None,
                Some(_) => {}
                None => subjects.push((event.id, event.subject)),
            }
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

    #[test]
    fn an_append_past_the_last_sequence_tells_how_many_are_left() {
        let events: Vec<_> =
            (0..3).map(|id| prepared(&Given { id, subject: ["a", "b", "c"], expected: None })).collect();
        let mut state = State { head: Head { last: MAX_SEQUENCE - 2, ..Head::default() }, ..State::default() };
        for event in &events {
            state.known.types.insert(event.entity_type().to_string(), Entry::default());
            state.known.entities.insert(event.entity().to_string(), Entry::default());
        }
        let error = state.append_events(&events).unwrap_err().to_string();
        assert!(error.contains("an append in events, by the sequences that the store has left, of 3"), "{error}");
        assert!(error.contains("is over the limit of 2"), "{error}");
        state.append_events(&events[..2]).unwrap();
        let error = state.append_events(&events).unwrap_err().to_string();
        assert!(error.contains("of 1 is over the limit of 0"), "{error}");
        assert_eq!(state.append_events(&events[..2]).unwrap().len(), 2, "what is there needs no sequence");
    }

    proptest! {
        #[test]
        fn appends_come_to_what_a_list_of_them_says(
            batches in proptest::collection::vec(proptest::collection::vec(given(), 1..4), 1..30),
        ) {
            let all: Vec<Vec<_>> = batches.iter().map(|batch| batch.iter().map(prepared).collect()).collect();
            let (mut state, mut list) = (State::default(), Vec::new());
            for one in ["a", "b", "c"] {
                state.known.types.insert(one.to_string(), Entry::default());
                for other in ["a", "b", "c"] {
                    state.known.entities.insert(format!("{one}.{other}"), Entry::default());
                }
            }
            for (batch, events) in batches.iter().zip(&all) {
                let appended = state.append_events(events).ok();
                let sequences = appended.map(|all| all.iter().map(|event| event.sequence).collect::<Vec<_>>());
                prop_assert_eq!(sequences, append_to(&mut list, batch));
                prop_assert_eq!(state.head.last, list.len() as u64);
            }
        }
    }
}
