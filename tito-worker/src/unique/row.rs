//! What is stored of a unique event, under `dedup:{type}:{key}`.

use serde::{Deserialize, Serialize};
use tito_core::event::EventReference;
use tito_core::{KeyText, Result, TitoError, TitoTransaction, keys};

/// Which event has a key, and for how long.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct UniqueRow {
    /// The event that was published last with the key, as it lay last.
    pub(crate) event: EventReference,
    /// The first second, in Unix time, at which the key is free again.
    pub(crate) until: i64,
}

impl UniqueRow {
    /// The row of a key, unless its window has ended at the transaction's start.
    pub(crate) async fn read<T: TitoTransaction>(tx: &T, event_type: &str, unique_key: &str) -> Result<Option<Self>> {
        let key = keys::unique_event(event_type, unique_key);
        let Some(stored) = tx.get(&key).await? else { return Ok(None) };
        let row = Self::decode(&key, &stored)?;
        Ok(row.is_in_force(tx.start_timestamp().seconds()).then_some(row))
    }

    pub(crate) fn decode(key: &[u8], bytes: &[u8]) -> Result<Self> {
        serde_json::from_slice(bytes).map_err(|source| TitoError::Malformed {
            key: KeyText::from(key),
            expected: "the reference of a unique event and the end of its window, in JSON",
            source: source.into(),
        })
    }

    pub(crate) async fn write<T: TitoTransaction>(&self, tx: &T, event_type: &str, unique_key: &str) -> Result<()> {
        let value = serde_json::to_vec(self).map_err(|source| TitoError::Unserializable {
            what: format!("the unique event {unique_key:?} of {event_type:?}"),
            source,
        })?;
        tx.put(keys::unique_event(event_type, unique_key), value).await
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
        assert_eq!((row.event.timestamp, row.until), (1_700_000_060, 1_700_000_090));
        assert_eq!(serde_json::to_string(&row).unwrap(), line);
        assert!(row.is_in_force(1_700_000_089));
        assert!(!row.is_in_force(1_700_000_090));
    }
}
