//! What is stored of a unique event, under `dedup:{type}:{key}`.

use serde::{Deserialize, Serialize};
use tito_core::event::{EventReference, note_owner};
use tito_core::row::{self, StoredRow, UnknownMembers};
use tito_core::{Result, Transaction, keeps_unknown_members};

use crate::keys;

/// Which event has a key, and for how long.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct UniqueRow {
    /// The event that was published last with the key, as it lay last.
    #[serde(with = "row::nested")]
    event: UniqueEvent,
    /// The first second, in Unix time, at which the key is free again.
    pub(crate) until: i64,
    /// To whom the event belongs, and its key with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) owner: Option<String>,
    #[serde(skip)]
    unknown: UnknownMembers,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(transparent)]
struct UniqueEvent {
    reference: EventReference,
    #[serde(skip)]
    unknown: UnknownMembers,
}

keeps_unknown_members!(UniqueRow, UniqueEvent);

impl StoredRow for UniqueRow {
    const EXPECTED: &'static str = "the reference of a unique event and the end of its window, in JSON";
}

impl UniqueRow {
    pub(crate) fn new(reference: EventReference, until: i64, owner: Option<String>) -> Self {
        let event = UniqueEvent { reference, unknown: UnknownMembers::default() };
        Self { event, until, owner, unknown: UnknownMembers::default() }
    }

    pub(crate) fn event(&self) -> &EventReference {
        &self.event.reference
    }

    /// The same row, when the event was put elsewhere.
    pub(crate) fn moved_to(mut self, reference: EventReference) -> Self {
        self.event.reference = reference;
        self
    }

    /// The row of a key, unless its window has ended at the transaction's start.
    pub(crate) async fn read(tx: &Transaction, topic: &str, unique_key: &str) -> Result<Option<Self>> {
        let key = keys::unique_event(topic, unique_key);
        let Some(stored) = tx.get(&key).await? else { return Ok(None) };
        let row = Self::decode(&key, &stored)?;
        Ok(row.is_in_force(tx.now().seconds()).then_some(row))
    }

    pub(crate) async fn write(&self, tx: &Transaction, topic: &str, unique_key: &str) -> Result<()> {
        let key = keys::unique_event(topic, unique_key);
        if let Some(owner) = &self.owner {
            note_owner(tx, owner, &key).await?;
        }
        tx.system_keys().put(key, self.encode()?).await
    }

    pub(crate) fn is_in_force(&self, now_seconds: i64) -> bool {
        now_seconds < self.until
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    /// The row that `docs/format.md` shows.
    #[test]
    fn a_row_is_written_as_it_is_specified() {
        let page = include_str!("../../../docs/format.md");
        let line = page.lines().find(|line| line.starts_with(r#"{"event":{"type""#)).unwrap();
        let row = UniqueRow::decode(b"dedup:mail:k", line.as_bytes()).unwrap();
        assert_eq!((row.event().timestamp, row.until), (1_700_000_060, 1_700_000_090));
        assert_eq!(row.encode().unwrap(), line.as_bytes());
        assert!(row.is_in_force(1_700_000_089));
        assert!(!row.is_in_force(1_700_000_090));
    }
}
