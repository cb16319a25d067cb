//! The rows of event stores.

use serde::Deserialize;
use xxhash_rust::xxh3::xxh3_128;

use crate::keys;

use super::event_value::{Parts, is_placeholder, parts_of};
use super::known::Known;
use super::lookups::Lookups;
use super::rows::{self, Checked, object, wrong_key};
use super::{Finding, Wrong};

pub(super) fn check(key: &[u8], value: &[u8], known: &mut Known, lookups: &mut Lookups) -> Checked {
    let mut components = key.splitn(4, |&byte| byte == b':').skip(1);
    let (Some(store), Some(kind)) = (components.next(), components.next()) else {
        return wrong_key(key, "a key of an event store");
    };
    let Some(store) = number_of(store) else { return wrong_key(key, "the number of an event store") };
    if known.dropped_stores.contains(&store) {
        return Checked::Sound;
    }
    if !known.stores.contains_key(&store) {
        return Checked::Wrong(Finding::new(key, Wrong::UnknownStore { store }));
    }
    match kind {
        b"tail" => {
            let malformed = object(key, value, "what a store keeps, a JSON object");
            malformed.or_else(|| known.saw_tail(key, store)).into()
        }
        b"head" | b"last" | b"type" | b"gone" | b"command" | b"reactor" => {
            object(key, value, "what a store keeps, a JSON object").into()
        }
        b"projection" => {
            note_dropped(key, value, store, known);
            object(key, value, "the generations of a projection").into()
        }
        b"event" => event(key, value, store, known, lookups).into(),
        b"entity" => match keys::parse_log_event(key) {
            Some((sequence, Some(_))) => {
                lookups.same_as_event(key.to_vec(), value, keys::log_event(store, sequence));
                Checked::Sound
            }
            _ => wrong_key(key, "the key of an event among those of its entity"),
        },
        b"id" => id(key, value, store, lookups).into(),
        b"snapshot" if value.len() < 12 => {
            let reason = format!("it has {} bytes", value.len());
            Checked::Wrong(Finding::new(key, Wrong::Value { expected: "a snapshot of a model", reason }))
        }
        b"snapshot" => Checked::Sound,
        b"view" => view(key, value, store, known, lookups),
        _ => Checked::Unknown,
    }
}

fn number_of(component: &[u8]) -> Option<u64> {
    keys::parse_dropped_log(&[b"dropped:", component].concat())
}

fn event(key: &[u8], value: &[u8], store: u64, known: &mut Known, lookups: &mut Lookups) -> Option<Finding> {
    let Some((sequence, None)) = keys::parse_log_event(key) else {
        return Some(Finding::new(key, Wrong::Key { expected: "the key of an event of a store" }));
    };
    // No row leads to what an erased event has left.
    if is_placeholder(value) {
        return known.saw_event(key, store, sequence);
    }
    match parts_of(value) {
        Some(Parts { id, entity_type, entity_id }) => {
            let copy = keys::log_entity_event(store, entity_type, entity_id, sequence);
            let hash = xxh3_128(value);
            lookups.beside_event(key.to_vec(), hash, copy, value.to_vec());
            lookups.beside_event(key.to_vec(), hash, keys::log_id(store, id), sequence.to_string().into_bytes());
        }
        None => {
            known.saw_event(key, store, sequence);
            let reason = "its parts can't be told".to_string();
            return Some(Finding::new(key, Wrong::Value { expected: "an event of a store", reason }));
        }
    }
    known.saw_event(key, store, sequence)
}

fn id(key: &[u8], value: &[u8], store: u64, lookups: &mut Lookups) -> Option<Finding> {
    let sequence = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
    let Some(sequence) = sequence else {
        let reason = "it is no number".to_string();
        return Some(Finding::new(key, Wrong::Value { expected: "the sequence of an event", reason }));
    };
    lookups.event_of(key.to_vec(), keys::log_event(store, sequence));
    None
}

/// Of generations that are being deleted rows may be gone, and their entries not yet.
fn note_dropped(key: &[u8], value: &[u8], store: u64, known: &mut Known) {
    #[derive(Deserialize)]
    struct Dropped {
        #[serde(default)]
        dropped: Vec<u64>,
    }
    known.dropped_generations.retain(|(of, ..)| *of == store);
    let (Some(name), Ok(Dropped { dropped })) = (rows::component(key, 3), serde_json::from_slice(value)) else {
        return;
    };
    known.dropped_generations.extend(dropped.into_iter().map(|generation| (store, name.clone(), generation)));
}

fn view(key: &[u8], value: &[u8], store: u64, known: &Known, lookups: &mut Lookups) -> Checked {
    let mut parts = key.splitn(6, |&byte| byte == b':');
    let (name, generation, inner) = (rows::component(key, 3), rows::component(key, 4), parts.nth(5));
    let generation = generation.and_then(|digits| digits.parse::<u64>().ok());
    let (Some(name), Some(generation), Some(inner)) = (name, generation, inner) else {
        return wrong_key(key, "the key of what a projection has written");
    };
    if known.dropped_generations.contains(&(store, name, generation)) {
        return Checked::Sound;
    }
    match inner {
        b"checkpoint" => checkpoint(key, value, store, known).into(),
        row if row.starts_with(b"data:") => rows::row(key, row, value).into(),
        entry if entry.starts_with(b"index:") => rows::entry(key, entry, value, known, lookups).into(),
        _ => Checked::Unknown,
    }
}

fn checkpoint(key: &[u8], value: &[u8], store: u64, known: &Known) -> Option<Finding> {
    #[derive(Deserialize)]
    struct Checkpoint {
        sequence: u64,
    }
    let sequence = match serde_json::from_slice(value) {
        Ok(Checkpoint { sequence }) => sequence,
        Err(error) => {
            let wrong = Wrong::Value { expected: "how far a projection is", reason: error.to_string() };
            return Some(Finding::new(key, wrong));
        }
    };
    let last = known.last_of(store)?;
    (sequence > last).then(|| Finding::new(key, Wrong::ProjectionAhead { sequence, last }))
}
