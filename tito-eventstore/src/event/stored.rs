//! Events that were appended.

use std::collections::BTreeMap;
use std::fmt;
use std::str;

use chrono::{DateTime, Utc};
use tito_core::{KeyText, Result, Timestamp, TitoError};

use super::encoding::{Damage, Fields, Layout, encode};
use super::metadata;
use crate::data::{Codec, EventData};

/// An event of a store. Reading its parts costs nothing; only [`data`](Event::data) decodes its data.
#[derive(Clone)]
pub struct Event {
    sequence: u64,
    value: Vec<u8>,
    layout: Layout,
}

impl Event {
    pub(crate) fn decode(key: &[u8], sequence: u64, value: Vec<u8>) -> Result<Self> {
        match Layout::of(&value) {
            Ok(layout) => Ok(Self { sequence, value, layout }),
            Err(reason) => Err(TitoError::Malformed {
                key: KeyText::from(key),
                expected: "an event of an event store",
                source: Damage::of(&value, reason).into(),
            }),
        }
    }

    /// The event with its data brought to another version.
    pub(crate) fn with_data(&self, version: u32, codec: Codec, data: &[u8]) -> Result<Self> {
        let metadata = self.metadata();
        let value = encode(&Fields {
            recorded: self.layout.recorded,
            time: self.layout.time,
            version,
            codec,
            id: self.id(),
            subject: self.subject(),
            metadata: &metadata,
            data,
        });
        Self::decode(&[], self.sequence, value)
    }

    /// Whether it was erased, so that there is nothing but its place. Readers pass over such ones.
    pub(crate) fn is_erased(&self) -> bool {
        self.layout.is_erased
    }

    /// Its place in the order of the store, from 1 without gaps.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Its id.
    pub fn id(&self) -> &str {
        self.text(&self.layout.id)
    }

    /// What it is about and what happened: `type.id.event_type`.
    pub fn subject(&self) -> &str {
        self.text(&self.layout.subject)
    }

    /// What it is about: `type.id`.
    pub fn entity(&self) -> &str {
        &self.subject()[..self.layout.dots[1]]
    }

    /// The first token of its entity.
    pub fn entity_type(&self) -> &str {
        &self.subject()[..self.layout.dots[0]]
    }

    /// The second token of its entity.
    pub fn entity_id(&self) -> &str {
        &self.subject()[self.layout.dots[0] + 1..self.layout.dots[1]]
    }

    /// What happened.
    pub fn event_type(&self) -> &str {
        &self.subject()[self.layout.dots[1] + 1..]
    }

    /// The version of its type with which its data was written, unless an upcaster has brought it to a later one.
    pub fn version(&self) -> u32 {
        self.layout.version
    }

    /// How its data is written.
    pub fn codec(&self) -> Codec {
        self.layout.codec
    }

    /// When it happened, according to whoever appended it.
    pub fn time(&self) -> DateTime<Utc> {
        time_of_micros(self.layout.time)
    }

    /// The start of the transaction that appended it.
    pub fn recorded(&self) -> Timestamp {
        self.layout.recorded
    }

    /// Its metadata.
    pub fn metadata(&self) -> BTreeMap<String, String> {
        let pairs = self.layout.metadata.chunks_exact(2);
        pairs.map(|pair| (self.text(&pair[0]).to_string(), self.text(&pair[1]).to_string())).collect()
    }

    /// One of these texts.
    pub fn text_of(&self, name: &str) -> Option<&str> {
        let mut pairs = self.layout.metadata.chunks_exact(2);
        pairs.find(|pair| self.text(&pair[0]) == name).map(|pair| self.text(&pair[1]))
    }

    /// The id of the command that led to it, if that came in an [`Envelope`](crate::Envelope) with an id.
    pub fn causation_id(&self) -> Option<&str> {
        self.text_of(metadata::CAUSATION_ID)
    }

    /// What its command belongs to.
    pub fn correlation_id(&self) -> Option<&str> {
        self.text_of(metadata::CORRELATION_ID)
    }

    /// Who asked for its command.
    pub fn asked_by(&self) -> Option<&str> {
        self.text_of(metadata::ASKED_BY)
    }

    /// Its data as it is written.
    pub fn bytes(&self) -> &[u8] {
        &self.value[self.layout.data..]
    }

    /// Whether its type is one of `T`'s.
    pub fn is<T: EventData>(&self) -> bool {
        T::EVENT_TYPES.iter().any(|known| known.name == self.event_type())
    }

    fn text(&self, range: &std::ops::Range<usize>) -> &str {
        str::from_utf8(&self.value[range.clone()]).expect("it was checked when the event was decoded")
    }
}

/// A time that is stored in microseconds, or the nearest that can be shown.
pub(crate) fn time_of_micros(micros: i64) -> DateTime<Utc> {
    let nearest = if micros < 0 { DateTime::<Utc>::MIN_UTC } else { DateTime::<Utc>::MAX_UTC };
    DateTime::from_timestamp_micros(micros).unwrap_or(nearest)
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Event")
            .field("sequence", &self.sequence)
            .field("id", &self.id())
            .field("subject", &self.subject())
            .field("version", &self.version())
            .field("codec", &self.codec())
            .field("time", &self.time())
            .field("recorded", &self.recorded())
            .field("metadata", &self.metadata())
            .field("bytes", &String::from_utf8_lossy(self.bytes()))
            .finish()
    }
}

impl PartialEq for Event {
    fn eq(&self, other: &Self) -> bool {
        self.sequence == other.sequence && self.value == other.value
    }
}

impl Eq for Event {}
