//! Events without a model.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::value::RawValue;
use tito_core::event::{Cause, DueTime, check_owner};
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
    pub(crate) owner: Owner,
    pub(crate) cause: Option<Cause>,
}

/// Where an event's owner is named.
#[derive(Clone, Debug)]
pub(crate) enum Owner {
    Nobody,
    Named(String),
    OfHeader(String),
    OfField(String),
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Due {
    After(Duration),
    At(i64),
}

impl Publish {
    /// An event of a type, about an entity: events of one entity are handled one at a time, in the order of their
    /// transactions. By default it is due at once and has the action `publish`.
    pub fn new(topic: impl Into<String>, entity: impl Into<String>) -> Self {
        Self {
            event_type: topic.into(),
            entity: entity.into(),
            action: "publish".to_string(),
            due: Due::After(Duration::ZERO),
            headers: BTreeMap::new(),
            payload: None,
            owner: Owner::Nobody,
            cause: None,
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
    /// [`TitoError::Unserializable`], which names the field, for what JSON has no form for: a float that is not finite,
    /// a map whose keys are not texts, nesting deeper than 127. An integer of more than 64 bits is refused too, because
    /// it is not known whether its reader can take it; for a [`job`](Publish::job) that is known.
    pub fn payload(mut self, payload: &impl Serialize) -> Result<Self, TitoError> {
        let what = format_args!("the payload of an event {:?} for {:?}", self.event_type, self.entity);
        self.payload = Some(row::raw_for_any_reader(what, payload)?);
        Ok(self)
    }

    /// A short text next to the payload.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.insert(name.into(), value.into());
        self
    }

    /// The owner of the event: any text of 1 to 512 bytes. [`TitoQueue::erase_owner`](crate::TitoQueue::erase_owner)
    /// erases everything that belongs to an owner. An event with an owner costs one more small row, which is deleted
    /// some time after the event is gone.
    pub fn owner(mut self, owner: impl Into<String>) -> Self {
        self.owner = Owner::Named(owner.into());
        self
    }

    /// Like [`owner`](Publish::owner), with the text of one of its headers. Publishing fails if there is no such header
    /// by then.
    pub fn owner_of_header(mut self, name: impl Into<String>) -> Self {
        self.owner = Owner::OfHeader(name.into());
        self
    }

    /// Like [`owner`](Publish::owner), with a field of its payload, which has to be an object: a text, or an integer,
    /// whose digits are the owner. Publishing fails if there is none by then.
    pub fn owner_of_field(mut self, name: impl Into<String>) -> Self {
        self.owner = Owner::OfField(name.into());
        self
    }

    /// The event that causes this one, if that is not the event of the handler around it: in a spawned task, or in a
    /// batch handler. See [`causation_id`](tito_core::event::TitoEvent::causation_id).
    pub fn caused_by(mut self, cause: Cause) -> Self {
        self.cause = Some(cause);
        self
    }

    /// To whom it belongs.
    pub(crate) fn owner_text(&self) -> Result<Option<String>, TitoError> {
        let missing = |name: &String, reason| TitoError::InvalidName { what: "owner", name: name.clone(), reason };
        let owner = match &self.owner {
            Owner::Nobody => return Ok(None),
            Owner::Named(owner) => owner.clone(),
            Owner::OfHeader(name) => {
                self.headers.get(name).cloned().ok_or_else(|| missing(name, "the event has no header of this name"))?
            }
            Owner::OfField(name) => field(self.payload.as_deref(), name)
                .ok_or_else(|| missing(name, "the payload has no field of this name that is a text or an integer"))?,
        };
        check_owner(&owner)?;
        Ok(Some(owner))
    }

    /// Due this long after the transaction's start, rounded up to whole seconds.
    pub fn delay(mut self, delay: Duration) -> Self {
        self.due = Due::After(delay);
        self
    }

    /// Due at a time, rounded up to whole seconds: never early. A past time means at once; a time after 2286 counts as
    /// the last second that a key can hold, 9,999,999,999.
    pub fn at(mut self, time: DateTime<Utc>) -> Self {
        self.due = Due::At(time.due_seconds().unwrap_or_default());
        self
    }
}

/// A text or an integer in a payload.
fn field(payload: Option<&RawValue>, name: &str) -> Option<String> {
    let fields: BTreeMap<String, Box<RawValue>> = serde_json::from_str(payload?.get()).ok()?;
    let value = fields.get(name)?.get();
    let is_integer = value.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
    if is_integer { Some(value.to_string()) } else { serde_json::from_str(value).ok() }
}
