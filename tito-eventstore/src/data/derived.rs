//! What the derive's output names of its own.

use serde::{Deserialize, Serialize};
use tito_core::BoxError;

pub use super::markers::{read_json, write_json};
#[cfg(feature = "messagepack")]
pub use super::markers::{read_messagepack, write_messagepack};

/// The data of an event that has none: an object, so that the event can have fields later.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(expecting = "an object without fields")]
pub struct Nothing {}

/// Of a type that does not have this event.
pub fn unknown_event_type(event_type: &str) -> BoxError {
    format!("the type has no event {event_type:?}").into()
}
