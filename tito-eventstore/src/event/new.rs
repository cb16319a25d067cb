//! Events that are to be appended.

use std::any::{Any, type_name};
use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use tito_core::BoxError;

use crate::data::{Codec, EventData};

/// An event to be appended.
///
/// ```
/// use tito_eventstore::NewEvent;
///
/// let opened = NewEvent::raw("account.17", "opened", b"ada".to_vec())
///     .id("open-17")
///     .metadata("user", "ada")
///     .expect_sequence(0);
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct NewEvent {
    pub(crate) entity: String,
    pub(crate) id: Option<String>,
    pub(crate) time: Option<DateTime<Utc>>,
    pub(crate) metadata: BTreeMap<String, String>,
    pub(crate) expectation: Option<Expectation>,
    pub(crate) data: std::result::Result<Unencoded, Failure>,
}

/// What an event is about, as it will be stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unencoded {
    pub(crate) event_type: String,
    pub(crate) version: u32,
    pub(crate) codec: Codec,
    pub(crate) bytes: Vec<u8>,
    /// The Rust type that it was made from; none for bytes.
    pub(crate) of: Option<&'static str>,
}

/// Why data could not be made bytes; told when the event is appended.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    pub(crate) event_type: String,
    /// The codec that could not write it; none where the data is not valid by its own rules.
    pub(crate) codec: Option<Codec>,
    pub(crate) reason: String,
}

/// What the last sequence must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Expectation {
    pub(crate) sequence: u64,
    /// Of which subjects; those of the event's entity if none.
    pub(crate) pattern: Option<String>,
}

impl NewEvent {
    /// An event of an entity, `type.id`, with data of a type that knows its name and codec. If either is wrong, the
    /// append fails.
    pub fn new<T: EventData>(entity: impl Into<String>, data: T) -> Self {
        Self::from_encoded(entity, encode(&data))
    }

    /// An event of an entity, `type.id`, with an event type and the application's own bytes. There must be at least one
    /// byte, unless the store has a registry that can read none.
    pub fn raw(entity: impl Into<String>, event_type: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Self {
        Self::encoded(entity, event_type, 1, Codec::Binary, bytes)
    }

    /// Like [`raw`](NewEvent::raw), with bytes that were written elsewhere, in a given version of the event type and
    /// codec. A store with a registry refuses what it could not read.
    pub fn encoded(
        entity: impl Into<String>,
        event_type: impl Into<String>,
        version: u32,
        codec: Codec,
        bytes: impl Into<Vec<u8>>,
    ) -> Self {
        let data = Unencoded { event_type: event_type.into(), version, codec, bytes: bytes.into(), of: None };
        Self::from_encoded(entity, Ok(data))
    }

    pub(crate) fn from_encoded(entity: impl Into<String>, data: std::result::Result<Unencoded, Failure>) -> Self {
        Self { entity: entity.into(), id: None, time: None, metadata: BTreeMap::new(), expectation: None, data }
    }

    /// The event's id, 1 to 255 bytes; by default one is generated. An event whose id the store already has is not
    /// appended again, and has the sequence that it got then. It must be the same event: with another entity, type or
    /// data the append is refused ([`EventStoreError::EventIdTaken`](crate::EventStoreError::EventIdTaken)); time and
    /// metadata may differ.
    pub fn id(mut self, id: impl Into<String>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// When it happened, kept in microseconds; by default the time of the manager's clock.
    pub fn time(mut self, time: DateTime<Utc>) -> Self {
        self.time = Some(time);
        self
    }

    /// A text of metadata.
    pub fn metadata(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.metadata.insert(name.into(), value.into());
        self
    }

    /// Expects this to be the last sequence of the event's entity before the append, 0 if there is none; otherwise the
    /// whole append is refused.
    #[inline]
    pub fn expect_sequence(mut self, sequence: u64) -> Self {
        self.expectation = Some(Expectation { sequence, pattern: None });
        self
    }

    /// Like [`expect_sequence`](NewEvent::expect_sequence), for the last sequence of all events that a
    /// [`Pattern`](crate::Pattern) selects. A pattern with `*` for the type costs a read of each type that the store
    /// has.
    pub fn expect_sequence_of(mut self, pattern: impl Into<String>, sequence: u64) -> Self {
        self.expectation = Some(Expectation { sequence, pattern: Some(pattern.into()) });
        self
    }

    /// The entity, `type.id`.
    pub fn entity(&self) -> &str {
        &self.entity
    }

    /// The event type; empty if the data can't be written.
    pub fn event_type(&self) -> &str {
        self.data.as_ref().map_or("", |data| &data.event_type)
    }

    /// The version of the event type.
    pub fn version(&self) -> u32 {
        self.data.as_ref().map_or(0, |data| data.version)
    }

    /// The data as it will be written; empty if it can't be.
    pub fn bytes(&self) -> &[u8] {
        self.data.as_ref().map_or(&[], |data| &data.bytes)
    }

    /// Whether the event expects anything.
    pub(crate) fn has_expectation(&self) -> bool {
        self.expectation.is_some()
    }
}

/// One event counts as a list of one.
impl From<NewEvent> for Vec<NewEvent> {
    #[inline]
    fn from(event: NewEvent) -> Self {
        vec![event]
    }
}

fn encode<T: EventData + Any>(data: &T) -> std::result::Result<Unencoded, Failure> {
    let kind = data.event_type();
    let failure =
        |codec, error: BoxError| Failure { event_type: kind.name.to_string(), codec, reason: error.to_string() };
    data.validate().map_err(|error| failure(None, error))?;
    let bytes = data.encode().map_err(|error| failure(Some(kind.codec), error))?;
    // It is read now rather than never: an event that can't be stands in the way of its entity for good.
    T::decode(kind.name, &bytes)
        .map_err(|error| failure(Some(kind.codec), format!("once written, it can't be read: {error}").into()))?;
    Ok(Unencoded {
        event_type: kind.name.to_string(),
        version: kind.version,
        codec: kind.codec,
        bytes,
        of: Some(type_name::<T>()),
    })
}
