//! Notes of where events lie that were moved, under `!moved:{queue}:{uuid}`.
//!
//! Code that moves a pending event's row to another key records the new place in the same transaction. A note does not
//! say whether the event is still there: it stays when the event is done or cancelled, until the janitor deletes it.

use serde::{Deserialize, Serialize};
use tito_core::event::Topic;
use tito_core::row::{StoredRow, UnknownMembers};
use tito_core::{BoxError, Database, Result, Transaction, keeps_unknown_members};
use uuid::Uuid;

use crate::keys;

/// Where an event was put last.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Moved {
    partition: u16,
    /// When it falls due, in Unix seconds.
    second: i64,
    #[serde(skip)]
    unknown: UnknownMembers,
}

keeps_unknown_members!(Moved);

impl StoredRow for Moved {
    const EXPECTED: &'static str = "the place of a moved event in JSON, in one of at most 10,000 partitions";

    fn check(&self) -> Result<(), BoxError> {
        if self.partition >= keys::MAX_PARTITIONS {
            Err(format!("partition {}", self.partition).into())
        } else {
            Ok(())
        }
    }
}

impl Moved {
    pub(crate) async fn note(tx: &Transaction, queue: &str, id: Uuid, partition: u16, second: i64) -> Result<()> {
        let moved = Self { partition, second, unknown: UnknownMembers::default() };
        tx.system_keys().put(keys::moved_event(queue, id), moved.encode()?).await
    }

    /// The partition and the second that a note says; none of one that can't be read, which is logged.
    pub(crate) fn read(database: &Database, queue: &str, id: Uuid, note: &[u8]) -> Option<(u16, i64)> {
        match Self::decode(&keys::moved_event(queue, id), note) {
            Ok(moved) => Some((moved.partition, moved.second)),
            Err(error) => {
                database.log_damaged(&error, "it can't be read where an event was moved");
                None
            }
        }
    }

    /// The key of the event.
    pub(crate) fn place(&self, queue: &str, id: Uuid) -> Vec<u8> {
        keys::event(queue, self.partition, self.second, id)
    }
}

/// Says in a topic of an earlier release from when on moves are noted, which they are wherever this release is at work.
pub(crate) async fn begin_noting(database: &Database, name: &str) -> Result<()> {
    Topic::change(database, name, |mut topic, tx| async move {
        if topic.moves_noted_from.is_some() {
            return Ok(None);
        }
        // Ids are of the order, so whatever is of a later millisecond was published after this.
        topic.moves_noted_from = Some(tx.start_timestamp().physical_millis() + 1);
        Ok(Some(topic))
    })
    .await
    .map(drop)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn notes_are_read_and_written_again_as_the_page_of_the_format_says() {
        let page = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/format.md");
        let page = std::fs::read_to_string(page).unwrap();
        let vectors: Vec<_> = page.lines().filter_map(|line| line.strip_prefix("moved_value ")).collect();
        assert_eq!(vectors.len(), 1);
        for value in vectors {
            let moved = Moved::decode(b"!moved:a", value.as_bytes()).unwrap();
            assert_eq!(String::from_utf8(moved.encode().unwrap()).unwrap(), value);
        }
        let error = Moved::decode(b"!moved:a", b"{}").unwrap_err();
        assert!(error.to_string().contains("!moved:a"), "{error}");
    }
}
