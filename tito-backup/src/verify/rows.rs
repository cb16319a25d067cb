//! A row by itself.

use serde::de::IgnoredAny;
use tito_core::event::{TitoEvent, Topic};

use super::known::Known;
use super::logs;
use super::lookups::Lookups;
use super::mend::Mend;
use super::{Finding, Wrong};
use crate::keys;
use crate::object::Object;
use crate::restore::is_of_workers;

pub(super) enum Checked {
    Sound,
    /// Of a kind that this version does not know.
    Unknown,
    Wrong(Finding),
}

impl From<Option<Finding>> for Checked {
    fn from(finding: Option<Finding>) -> Self {
        finding.map_or(Self::Sound, Self::Wrong)
    }
}

/// Looks at a row, and notes which others it calls for.
pub(super) fn check(key: &[u8], value: &[u8], known: &mut Known, lookups: &mut Lookups) -> Checked {
    match keys::reserved_prefix(key) {
        None => Checked::Sound,
        Some("data:") => {
            known.tables.extend(component(key, 1));
            row(key, key, value).into()
        }
        Some("index:") => entry(key, key, value, known, lookups).into(),
        Some("event:" | "dead:" | "done:") => event(key, value, known).into(),
        Some("log:") => logs::check(key, value, known, lookups),
        Some("topic:") => match keys::parse_topic(key) {
            None => wrong_key(key, "a topic's key"),
            Some(_) => Topic::decode(key, value).err().map(|error| malformed(key, "a topic", error)).into(),
        },
        Some("!") if key.starts_with(b"!moved:") => match keys::parse_moved_event_id(key) {
            None => wrong_key(key, "the key of the note of a moved event"),
            Some(_) => object(key, value, "the note of a moved event").into(),
        },
        Some("!") if key.starts_with(b"!owned:") => match component(key, 1) {
            None => wrong_key(key, "the key of what belongs to an owner"),
            Some(_) => object(key, value, "that something belongs to an owner, a JSON object").into(),
        },
        Some("!") => Checked::Unknown,
        Some(prefix) => {
            if !is_key_of(prefix, key) {
                wrong_key(key, "a key as its kind has them")
            } else {
                object(key, value, "a JSON object").into()
            }
        }
    }
}

fn is_key_of(prefix: &str, key: &[u8]) -> bool {
    match prefix {
        "schedule:" => keys::parse_schedule(key).is_some(),
        "store:" => keys::parse_event_store(key).is_some(),
        "dropped:" => keys::parse_dropped_log(key).is_some(),
        "lease:" => keys::parse_lease(key).is_some(),
        "member:" => keys::parse_member(key).is_some(),
        "process:" => keys::parse_process(key).is_some(),
        _ => component(key, 1).is_some(),
    }
}

/// A component of a key, as it was before it was escaped.
pub(super) fn component(key: &[u8], number: usize) -> Option<String> {
    let component = key.split(|&byte| byte == b':').nth(number)?;
    String::from_utf8(keys::unescape(component)?).ok()
}

pub(super) fn wrong_key(key: &[u8], expected: &'static str) -> Checked {
    Checked::Wrong(Finding::new(key, Wrong::Key { expected }))
}

fn malformed(key: &[u8], expected: &'static str, reason: impl std::error::Error) -> Finding {
    // What is below says why; what is above repeats the key.
    let reason = reason.source().map_or_else(|| reason.to_string(), ToString::to_string);
    Finding::new(key, Wrong::Value { expected, reason })
}

pub(super) fn object(key: &[u8], value: &[u8], expected: &'static str) -> Option<Finding> {
    let finding = malformed(key, expected, Object::read(value).err()?);
    Some(if is_of_workers(key) { finding.mended_by(Mend::DeleteMalformed { value: value.to_vec() }) } else { finding })
}

/// The row of a model, under `inner` within what stands before it.
pub(super) fn row(key: &[u8], inner: &[u8], value: &[u8]) -> Option<Finding> {
    if keys::parse_row_id(inner).is_none() {
        return Some(Finding::new(key, Wrong::Key { expected: "the key of a row" }));
    }
    let read: serde_json::Result<IgnoredAny> = serde_json::from_slice(value);
    read.err().map(|error| malformed(key, "a row in JSON", error))
}

/// The entry of an index, under `inner` within what stands before it, where its row is too.
pub(super) fn entry(key: &[u8], inner: &[u8], value: &[u8], known: &Known, lookups: &mut Lookups) -> Option<Finding> {
    let Some((table, index)) = keys::parse_index_of(inner) else {
        return Some(Finding::new(key, Wrong::Key { expected: "the key of an index entry" }));
    };
    // Rows of projections have no catalogue.
    if key.len() == inner.len()
        && (known.dropped_tables.contains(&table) || known.incomplete_indexes.contains(&(table.clone(), index)))
    {
        return None;
    }
    let id = if value.is_empty() {
        keys::parse_index_entry(inner).map(|(_, id)| id)
    } else {
        std::str::from_utf8(value).ok().map(str::to_string)
    };
    let Some(id) = id else {
        return Some(Finding::new(key, Wrong::Key { expected: "an index entry with the id of a row" }));
    };
    let mut row = key[..key.len() - inner.len()].to_vec();
    row.extend(keys::row(&table, &id));
    lookups.row_of_entry(key.to_vec(), value.to_vec(), row);
    None
}

fn event(key: &[u8], value: &[u8], known: &Known) -> Option<Finding> {
    let Some(place) = keys::parse_event(key) else {
        return Some(Finding::new(key, Wrong::Key { expected: "the key of an event" }));
    };
    let event = match TitoEvent::decode_known(key, value) {
        Ok(event) => event,
        Err(error) => return Some(malformed(key, "an event in JSON", error)),
    };
    let (topic_name, _) = tito_core::event::topic_of(&place.queue);
    if event.id != place.id || event.event_type != topic_name {
        let reason = format!("it is event {} of topic {:?}", event.id, event.event_type);
        return Some(Finding::new(key, Wrong::Value { expected: "the event that its key tells", reason }));
    }
    let topic = match known.topic_with(&place.queue) {
        Ok(topic) => topic?,
        Err(()) => return Some(Finding::new(key, Wrong::EventWithoutQueue { queue: place.queue })),
    };
    // Those that are over stay in the partition that they were handled in.
    let expected = topic.partition_of(&event.entity);
    let before = topic.resized_from.map(|partitions| keys::partition_of(&event.entity, partitions));
    if !key.starts_with(b"event:") || place.partition == expected || before == Some(place.partition) {
        return None;
    }
    let mend = Mend::Move { place: place.clone(), entity: event.entity.clone() };
    let wrong = Wrong::Partition { found: place.partition, expected, entity: event.entity };
    Some(Finding::new(key, wrong).mended_by(mend))
}
