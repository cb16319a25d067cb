//! The last sequences of an entity, or of all entities of a type.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tito_core::Result;

use crate::stored;

/// The last sequence for each event type. Stored as a JSON object.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Last(BTreeMap<String, u64>);

impl Last {
    pub(crate) fn decode(key: &[u8], value: &[u8]) -> Result<Self> {
        stored::decode("last sequences by event type", key, value)
    }

    pub(crate) fn encode(&self) -> Result<Vec<u8>> {
        stored::encode("last sequences", self)
    }

    /// The last sequence of an event type, or of all; 0 if there is none.
    pub(crate) fn of(&self, event_type: Option<&str>) -> u64 {
        let sequence = match event_type {
            Some(event_type) => self.0.get(event_type),
            None => self.0.values().max(),
        };
        sequence.copied().unwrap_or(0)
    }

    pub(crate) fn set(&mut self, event_type: &str, sequence: u64) {
        match self.0.get_mut(event_type) {
            Some(last) => *last = sequence,
            None => {
                self.0.insert(event_type.to_string(), sequence);
            }
        }
    }
}
