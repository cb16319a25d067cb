//! The last sequences of an entity, or of all entities of a type.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use tito_core::row::{self, UnknownMembers};

/// Where the first sequence is noted. No event type has a dot.
const FIRST: &str = ".first";

/// The last sequence for each event type, and the first of all where it was noted. Stored as a JSON object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Last {
    sequences: BTreeMap<String, u64>,
    /// Names that begin with a dot are no event types, but what versions of Tito note beside them.
    unknown: UnknownMembers,
}

impl<'de> Deserialize<'de> for Last {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(LastVisitor)
    }
}

struct LastVisitor;

impl<'de> Visitor<'de> for LastVisitor {
    type Value = Last;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sequences by event type")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Last, A::Error> {
        let mut last = Last::default();
        while let Some(name) = map.next_key::<String>()? {
            if name.starts_with('.') && name != FIRST {
                last.unknown.push(name, map.next_value()?);
            } else {
                last.sequences.insert(name, map.next_value()?);
            }
        }
        Ok(last)
    }
}

impl Serialize for Last {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (name, sequence) in &self.sequences {
            map.serialize_entry(name, sequence)?;
        }
        for (name, value) in self.unknown.iter() {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

impl Last {
    pub(crate) fn decode(key: &[u8], value: &[u8]) -> tito_core::Result<Self> {
        row::decode(key, "last sequences by event type", value)
    }

    pub(crate) fn encode(&self) -> tito_core::Result<Vec<u8>> {
        row::encode("last sequences by event type", self)
    }

    /// The last sequence of an event type, or of all; 0 if there is none.
    pub(crate) fn of(&self, event_type: Option<&str>) -> u64 {
        let sequence = match event_type {
            Some(event_type) => self.sequences.get(event_type),
            None => self.sequences.values().max(),
        };
        sequence.copied().unwrap_or(0)
    }

    /// The first sequence of all, unless it was appended by a program that does not note it.
    pub(crate) fn first(&self) -> Option<u64> {
        self.sequences.get(FIRST).copied()
    }

    /// Notes the first sequence, if there is none yet.
    pub(crate) fn note_first(&mut self, sequence: u64) {
        if self.sequences.is_empty() {
            self.set(FIRST, sequence);
        }
    }

    pub(crate) fn set(&mut self, event_type: &str, sequence: u64) {
        match self.sequences.get_mut(event_type) {
            Some(last) => *last = sequence,
            None => {
                self.sequences.insert(event_type.to_string(), sequence);
            }
        }
    }
}
