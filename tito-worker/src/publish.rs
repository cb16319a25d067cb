//! Events without a model.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::value::RawValue;
use tito_core::event::DueTime;
use tito_core::{TitoError, row};

/// An event to be published with [`TitoQueue::publish`](crate::TitoQueue::publish).
///
/// ```
/// # use std::time::Duration;
/// # use tito_worker::Publish;
/// # fn example() -> Result<(), tito_core::TitoError> {
/// let event = Publish::new("email", "user:17")
///     .action("welcome")
///     .payload(&serde_json::json!({ "to": "ada@example.com" }))?
///     .delay(Duration::from_secs(3600));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Publish {
    pub(crate) event_type: String,
    pub(crate) entity: String,
    pub(crate) action: String,
    pub(crate) due: Due,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) payload: Option<Box<RawValue>>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Due {
    After(Duration),
    At(i64),
}

impl Publish {
    /// An event of a type, about an entity: events of one entity are handled one at a time, in the order of their
    /// transactions. Due at once, with the action `publish`, unless said otherwise.
    pub fn new(topic: impl Into<String>, entity: impl Into<String>) -> Self {
        Self {
            event_type: topic.into(),
            entity: entity.into(),
            action: "publish".to_string(),
            due: Due::After(Duration::ZERO),
            headers: BTreeMap::new(),
            payload: None,
        }
    }

    /// What happened.
    pub fn action(mut self, action: impl Into<String>) -> Self {
        self.action = action.into();
        self
    }

    /// What the handler needs to know; it reads it with [`TitoEvent::payload`](tito_core::event::TitoEvent::payload).
    ///
    /// # Errors
    /// [`TitoError::Unserializable`], which names the field, for what JSON has no form for: a float that is not finite, a
    /// map whose keys are no texts, what is nested more than 127 deep; and for an integer of more than 64 bits, as it is not
    /// known here whether its reader takes it. Of a [`job`](Publish::job) it is.
    pub fn payload(mut self, payload: &impl Serialize) -> Result<Self, TitoError> {
        let what = format_args!("the payload of an event {:?} for {:?}", self.event_type, self.entity);
        self.payload = Some(row::raw_for_any_reader(what, payload)?);
        Ok(self)
    }

    /// A small text beside the payload.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.insert(name.into(), value.into());
        self
    }

    /// Due this long after the transaction's start, rounded up to whole seconds.
    pub fn delay(mut self, delay: Duration) -> Self {
        self.due = Due::After(delay);
        self
    }

    /// Due at a time, rounded up to whole seconds: never early. At once if that is past; a time after 2286 counts as the
    /// last second that a key can hold, 9,999,999,999.
    pub fn at(mut self, time: DateTime<Utc>) -> Self {
        self.due = Due::At(time.due_seconds().unwrap_or_default());
        self
    }
}
