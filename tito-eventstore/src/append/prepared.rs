//! Events that were checked by themselves, before a transaction looks at them.

use std::collections::BTreeMap;

use tito_core::{KeyText, Timestamp, TitoError};

use crate::error::{EventStoreError, Result};
use crate::event::{Event, Fields, NewEvent, Unencoded, encode};
use crate::log::{CommandMark, Log};
use crate::pattern::Pattern;
use crate::token;
use crate::types::Registry;

/// What is written of an event beside its texts and data.
const ENVELOPE_BYTES: usize = 64;

const LONGEST_ID: usize = 255;

/// An event with everything that the store does not give it.
#[derive(Clone, Debug)]
pub(crate) struct Prepared {
    pub(crate) id: String,
    /// Whether the id was made up, so that no other event has it.
    pub(crate) is_id_new: bool,
    /// Microseconds since the Unix epoch.
    pub(crate) time: i64,
    /// `type.id.event_type`.
    subject: String,
    /// Its dots.
    dots: [usize; 2],
    pub(crate) metadata: BTreeMap<String, String>,
    pub(crate) expected: Option<Expected>,
    pub(crate) data: Unencoded,
}

/// What is appended together, or not at all.
#[derive(Debug)]
pub(crate) struct Append {
    pub(crate) events: Vec<Prepared>,
    /// The command that came to it, if it is to be known again.
    pub(crate) command: Option<CommandMark>,
}

impl Append {
    pub(super) fn size(&self) -> usize {
        self.events.iter().map(Prepared::size).sum()
    }
}

/// What the last sequence must be.
#[derive(Clone, Debug)]
pub(crate) struct Expected {
    pub(crate) sequence: u64,
    /// Of what, and the pattern as it was asked for; of the event's entity if none.
    pub(crate) of: Option<Box<(Pattern, String)>>,
}

impl Prepared {
    pub(crate) fn subject(&self) -> &str {
        &self.subject
    }

    /// `type.id`.
    pub(crate) fn entity(&self) -> &str {
        &self.subject[..self.dots[1]]
    }

    pub(crate) fn entity_type(&self) -> &str {
        &self.subject[..self.dots[0]]
    }

    pub(crate) fn entity_id(&self) -> &str {
        &self.subject[self.dots[0] + 1..self.dots[1]]
    }

    /// The pattern that its expectation is about, unless that is its entity.
    pub(crate) fn pattern(&self) -> Option<&Pattern> {
        self.expected.as_ref().and_then(|expected| expected.of.as_ref()).map(|of| &of.0)
    }

    /// The value under which the event is stored.
    pub(crate) fn encode(&self, recorded: Timestamp) -> Vec<u8> {
        encode(&Fields {
            recorded,
            time: self.time,
            version: self.data.version,
            codec: self.data.codec,
            id: &self.id,
            subject: &self.subject,
            metadata: &self.metadata,
            data: &self.data.bytes,
        })
    }

    /// About how many bytes the event is stored in.
    pub(crate) fn size(&self) -> usize {
        let metadata = self.metadata.iter().map(|(name, text)| name.len() + text.len() + 20).sum::<usize>();
        ENVELOPE_BYTES + self.id.len() + self.subject.len() + metadata + self.data.bytes.len()
    }
}

impl NewEvent {
    /// The event as a store has it once it is appended: for tests of models without a store. Its id and its time, where
    /// it has none, are made of the sequence and of `recorded`.
    ///
    /// # Errors
    /// As those of an append about the event by itself.
    pub fn appended_as(self, sequence: u64, recorded: Timestamp) -> Result<Event> {
        let prepared = prepare_one(self, None, recorded.physical_millis(), || (format!("event-{sequence}"), false))?;
        Ok(Event::decode(&[], sequence, prepared.encode(recorded))?)
    }
}

/// Checks events by themselves, and gives them what they were left without.
pub(crate) fn prepare(log: &Log, events: Vec<NewEvent>) -> Result<Vec<Prepared>> {
    if events.is_empty() {
        return Err(EventStoreError::NoEvents);
    }
    let limit = log.database().limits().value_bytes;
    let now_millis = log.now_millis();
    let mut all = Vec::with_capacity(events.len());
    for event in events {
        let prepared = prepare_one(event, log.types(), now_millis, || log.next_id(now_millis))?;
        check_size(&prepared, limit)?;
        all.push(prepared);
    }
    Ok(all)
}

/// Checks an event, whatever store it is for. What it was left without is made up, its time of `now_millis`.
pub(crate) fn prepare_one(
    event: NewEvent,
    types: Option<&Registry>,
    now_millis: u64,
    make_id: impl FnOnce() -> (String, bool),
) -> Result<Prepared> {
    let NewEvent { entity, id, time, metadata, expectation, data } = event;
    let (entity_type, entity_id) = parse_entity(&entity)?;
    let data = data?;
    if data.event_type.is_empty() {
        return Err(EventStoreError::EventTypeRequired { entity });
    }
    // Values of some types are written as nothing, such as a message of Protobuf without fields.
    if data.bytes.is_empty() && data.of.is_none() && types.is_none() {
        return Err(EventStoreError::EventDataRequired { entity, event_type: data.event_type });
    }
    token::check(&data.event_type)
        .map_err(|reason| EventStoreError::EventTypeInvalid { event_type: token::cut(&data.event_type), reason })?;
    if let Some(types) = types {
        types.check(&data)?;
    }
    let dots = [entity_type.len(), entity_type.len() + 1 + entity_id.len()];
    let expected = match expectation {
        None => None,
        Some(expectation) => {
            let pattern = expectation.pattern.map(|shown| Ok::<_, EventStoreError>(Box::new((shown.parse()?, shown))));
            Some(Expected { sequence: expectation.sequence, of: pattern.transpose()? })
        }
    };
    let (id, is_id_new) = id.map_or_else(make_id, |id| (id, false));
    if !is_id_new && let Err(reason) = check_id(&id) {
        return Err(EventStoreError::EventIdInvalid { id: token::cut(&id), reason: reason.to_string() });
    }
    let mut subject = entity;
    subject.reserve_exact(1 + data.event_type.len());
    subject.push('.');
    subject.push_str(&data.event_type);
    Ok(Prepared {
        id,
        is_id_new,
        time: time.map_or_else(|| micros(now_millis), |time| time.timestamp_micros()),
        subject,
        dots,
        metadata,
        expected,
        data,
    })
}

fn micros(millis: u64) -> i64 {
    i64::try_from(millis).unwrap_or(i64::MAX).saturating_mul(1000)
}

fn check_size(event: &Prepared, limit: usize) -> Result<()> {
    let size = event.size();
    if size <= limit {
        return Ok(());
    }
    let key = KeyText::from(event.subject().as_bytes());
    Err(TitoError::LimitExceeded { what: "an event in bytes", size, limit, key }.into())
}

/// The two tokens of an entity.
fn parse_entity(entity: &str) -> Result<(&str, &str)> {
    if entity.is_empty() {
        return Err(EventStoreError::EventEntityRequired);
    }
    let invalid = |reason| EventStoreError::EventEntityInvalid { entity: token::cut(entity), reason };
    let Some((entity_type, id)) = entity.split_once('.') else {
        return Err(invalid("it has one token".to_string()));
    };
    if id.contains('.') {
        return Err(invalid(format!("the token {:?} contains '.', which separates tokens", token::cut(id))));
    }
    token::check(entity_type).and_then(|()| token::check(id)).map_err(invalid)?;
    Ok((entity_type, id))
}

/// What an id must be, of an event or of a command.
pub(crate) fn check_id(id: &str) -> std::result::Result<(), &'static str> {
    if id.is_empty() {
        Err("it is empty")
    } else if id.len() > LONGEST_ID {
        Err("it is longer than 255 bytes")
    } else if id.chars().any(char::is_control) {
        Err("it contains a control character")
    } else {
        Ok(())
    }
}
