//! The last sequences of an entity, or of all entities of a type.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tito_core::Result;

use crate::stored;

/// Where the first sequence is noted. No event type has a dot.
const FIRST: &str = ".first";

/// The last sequence for each event type, and the first of all where it was noted. Stored as a JSON object.
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

    /// The first sequence of all, unless it was appended by a program that does not note it.
    pub(crate) fn first(&self) -> Option<u64> {
        self.0.get(FIRST).copied()
    }

    /// Notes the first sequence, if there is none yet.
    pub(crate) fn note_first(&mut self, sequence: u64) {
        if self.0.is_empty() {
            self.set(FIRST, sequence);
        }
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
