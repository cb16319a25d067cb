//! What is stored of a store.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tito_core::row::{self, StoredRow, UnknownMembers};
use tito_core::{Transaction, keeps_unknown_members};

use super::retention::Retention;
use crate::error::{EventStoreError, Result};
use crate::keys;
use crate::republish::Rule;

/// A store, as it is stored under its name. `docs/format.md` specifies it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Definition {
    pub(crate) id: u64,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) description: String,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) metadata: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) max_events: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) max_bytes: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) max_age_seconds: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) republish: Option<String>,
    /// Whether what is published there belongs to the events' entities.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) republish_owned: bool,
    /// The rules by which events are published.
    #[serde(default, skip_serializing_if = "Vec::is_empty", with = "row::nested")]
    pub(crate) republishing: Vec<Rule>,
    /// The projections that are woken by appends.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub(crate) projections: BTreeSet<String>,
    #[serde(skip)]
    pub(crate) unknown: UnknownMembers,
}

keeps_unknown_members!(Definition);

impl StoredRow for Definition {
    const EXPECTED: &'static str = "the definition of an event store";
}

impl Definition {
    pub(crate) fn retention(&self) -> Retention {
        let age = self.max_age_seconds.map(Duration::from_secs);
        Retention { events: self.max_events, bytes: self.max_bytes, age }
    }
}

/// The store of a name, as it is stored.
///
/// # Errors
/// [`EventStoreError::StoreNameRequired`], [`EventStoreError::StoreNotFound`], and those of the engine.
pub(crate) async fn read_definition(tx: &Transaction, name: &str) -> Result<Definition> {
    if name.is_empty() {
        return Err(EventStoreError::StoreNameRequired);
    }
    let key = keys::event_store(name);
    match tx.get(&key).await? {
        Some(value) => Ok(Definition::decode(&key, &value)?),
        None => Err(EventStoreError::StoreNotFound { name: name.to_string() }),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    /// The page is what says how it is stored.
    #[test]
    fn the_vectors_of_the_page_hold() {
        let page = include_str!("../../../docs/format.md");
        let vectors: Vec<_> = page.lines().filter_map(|line| line.strip_prefix("log_definition_value ")).collect();
        assert_eq!(vectors.len(), 2);
        for vector in vectors {
            let decoded = Definition::decode(b"key", vector.as_bytes()).unwrap();
            assert_eq!(String::from_utf8(decoded.encode().unwrap()).unwrap(), vector);
        }
    }
}
