//! What is shown of payloads.

use std::fmt;
use std::sync::Arc;

use serde_json::Value;
use serde_json::value::RawValue;
use tito_core::event::topic_of;
use tito_core::keys;
use tito_core::keys::build::{Kind, SEPARATOR, text};

/// What is about to be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Redacted<'a> {
    /// The topic, or the event store; of what belongs to neither the table of a row, the name of a step of an operation, or
    /// nothing.
    pub of: &'a str,
    /// The event's type: for an event of a topic, the topic.
    pub event_type: &'a str,
    /// Which part of the event.
    pub part: Part,
}

/// A part of an event that is its publisher's or its handler's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Part {
    /// The payload or, for an event of a store, the data.
    Payload,
    /// How far a handler got.
    Progress,
    /// The value of a header, or of metadata.
    Header,
    /// What a handler, a projector or a step said of its failure, or a codec of stored bytes that it could not read: in the
    /// middle of a message as well.
    Error,
    /// Stored bytes that are not an event, as text.
    Bytes,
}

type Function = dyn Fn(&Redacted<'_>, Value) -> Value + Send + Sync;

/// The application's function, if it has one.
#[derive(Clone, Default)]
pub(crate) struct Redact(Option<Arc<Function>>);

impl Redact {
    pub(crate) fn by(function: impl Fn(&Redacted<'_>, Value) -> Value + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(function)))
    }

    /// JSON as it is shown. What can't be looked into, as it is nested too deep, is `null` where there is a function.
    pub(crate) fn raw(&self, what: &Redacted<'_>, value: Option<Box<RawValue>>) -> Option<Box<RawValue>> {
        let (Some(function), Some(value)) = (&self.0, value.as_ref()) else { return value };
        let shown = serde_json::from_str(value.get()).map_or(Value::Null, |value| function(what, value));
        Some(serde_json::value::to_raw_value(&shown).unwrap_or_else(|_| RawValue::NULL.to_owned()))
    }

    /// A text as it is shown.
    pub(crate) fn text(&self, what: &Redacted<'_>, text: String) -> String {
        let Some(function) = &self.0 else { return text };
        match function(what, Value::String(text)) {
            Value::String(text) => text,
            other => other.to_string(),
        }
    }
}

/// The topic, the event store or the table that a key is of, as far as the key tells: of the rows of an event store it
/// tells a number.
pub(crate) fn owner_of_key(key: &[u8]) -> Option<String> {
    if let Some(place) = keys::parse_event(key) {
        return Some(topic_of(&place.queue).0.to_string());
    }
    let table = || {
        let rows = Kind::Data.strip(key).or_else(|| Kind::Catalogue.strip(key))?;
        text(rows.split(|byte| *byte == SEPARATOR).next()?)
    };
    keys::parse_topic(key).or_else(|| tito_eventstore::keys::parse_event_store(key)).or_else(table)
}

impl fmt::Debug for Redact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Redact").field(&self.0.is_some()).finish()
    }
}
