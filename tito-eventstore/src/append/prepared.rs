//! Events that were checked by themselves, before a transaction looks at them.

use std::collections::BTreeMap;

use tito_core::{KeyText, TitoEngine, TitoError};

use crate::error::{EventStoreError, Result};
use crate::event::{NewEvent, Unencoded};
use crate::pattern::Pattern;
use crate::store::EventStore;
use crate::token;

/// What is written of an event beside its texts and data.
const ENVELOPE_BYTES: usize = 64;

const LONGEST_ID: usize = 255;

/// An event with everything that the store does not give it.
#[derive(Clone, Debug)]
pub(crate) struct Prepared {
    pub(crate) id: String,
    /// Microseconds since the Unix epoch.
    pub(crate) time: i64,
    pub(crate) entity_type: String,
    pub(crate) entity_id: String,
    pub(crate) metadata: BTreeMap<String, String>,
    pub(crate) expected: Option<Expected>,
    pub(crate) data: Unencoded,
}

/// What the last sequence of a pattern must be.
#[derive(Clone, Debug)]
pub(crate) struct Expected {
    pub(crate) pattern: Pattern,
    /// As it was asked for.
    pub(crate) shown: String,
    pub(crate) sequence: u64,
}

impl Prepared {
    pub(crate) fn subject(&self) -> String {
        format!("{}.{}.{}", self.entity_type, self.entity_id, self.data.event_type)
    }

    /// About how many bytes the event is stored in.
    pub(crate) fn size(&self) -> usize {
        let metadata = self.metadata.iter().map(|(name, text)| name.len() + text.len() + 20).sum::<usize>();
        let subject = self.entity_type.len() + self.entity_id.len() + self.data.event_type.len();
        ENVELOPE_BYTES + self.id.len() + subject + metadata + self.data.bytes.len()
    }
}

/// Checks events by themselves, and gives them what they were left without.
pub(crate) fn prepare<E: TitoEngine>(store: &EventStore<E>, events: Vec<NewEvent>) -> Result<Vec<Prepared>> {
    if events.is_empty() {
        return Err(EventStoreError::NoEvents);
    }
    events.into_iter().map(|event| prepare_one(store, event)).collect()
}

fn prepare_one<E: TitoEngine>(store: &EventStore<E>, event: NewEvent) -> Result<Prepared> {
    let NewEvent { entity, id, time, metadata, expectation, data } = event;
    let (entity_type, entity_id) = parse_entity(&entity)?;
    let data = data.map_err(|failure| failure.into_error())?;
    if data.event_type.is_empty() {
        return Err(EventStoreError::EventTypeRequired { entity });
    }
    token::check(&data.event_type)
        .map_err(|reason| EventStoreError::EventTypeInvalid { event_type: token::cut(&data.event_type), reason })?;
    if let Some(types) = store.types() {
        types.check(&data)?;
    }
    let expected = match expectation {
        None => None,
        Some(expectation) => Some(match expectation.pattern {
            None => Expected {
                pattern: Pattern::of_entity(entity_type, entity_id),
                shown: entity.clone(),
                sequence: expectation.sequence,
            },
            Some(shown) => Expected { pattern: shown.parse()?, shown, sequence: expectation.sequence },
        }),
    };
    let id = match id {
        Some(id) => checked_id(id)?,
        None => checked_id(store.next_id())?,
    };
    let time = time.map_or_else(|| store.now_micros(), |time| time.timestamp_micros());
    let prepared = Prepared {
        id,
        time,
        entity_type: entity_type.to_string(),
        entity_id: entity_id.to_string(),
        metadata,
        expected,
        data,
    };
    let (size, limit) = (prepared.size(), store.engine().limits().value_bytes);
    if size > limit {
        let key = KeyText::from(prepared.subject().into_bytes());
        return Err(TitoError::LimitExceeded { what: "an event in bytes", size, limit, key }.into());
    }
    Ok(prepared)
}

/// The two tokens of an entity.
pub(crate) fn parse_entity(entity: &str) -> Result<(&str, &str)> {
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

fn checked_id(id: String) -> Result<String> {
    let reason = if id.is_empty() {
        "it is empty"
    } else if id.len() > LONGEST_ID {
        "it is longer than 255 bytes"
    } else if id.chars().any(char::is_control) {
        "it contains a control character"
    } else {
        return Ok(id);
    };
    Err(EventStoreError::EventIdInvalid { id: token::cut(&id), reason: reason.to_string() })
}
