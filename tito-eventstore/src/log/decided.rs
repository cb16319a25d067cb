//! What a command with an id has come to, as it is stored.

use serde::{Deserialize, Serialize};
use tito_core::row::{StoredRow, UnknownMembers};
use tito_core::{BoxError, Transaction, keeps_unknown_members};
use xxhash_rust::xxh3::xxh3_128;

use crate::error::{EventStoreError, Result};
use crate::event::Event;
use crate::keys::{self, MAX_SEQUENCE};

/// By what a command is known again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CommandMark {
    pub(crate) id: String,
    pub(crate) command_type: Option<String>,
    /// A hash of what it says, where it tells that.
    content: Option<String>,
}

impl CommandMark {
    pub(crate) fn new(id: String, command_type: Option<String>, content: Option<Vec<u8>>) -> Self {
        Self { id, command_type, content: content.map(|content| format!("{:032x}", xxh3_128(&content))) }
    }
}

/// The events that a command came to. `docs/format.md` specifies it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Decided {
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    command_type: Option<String>,
    /// See [`CommandMark::content`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    content: Option<String>,
    /// Their sequences, in the order in which they were decided on.
    pub(crate) sequences: Vec<u64>,
    #[serde(skip)]
    unknown: UnknownMembers,
}

keeps_unknown_members!(Decided);

impl StoredRow for Decided {
    const EXPECTED: &'static str = "what a command has come to, an event at least";

    fn check(&self) -> std::result::Result<(), BoxError> {
        let is_one = |sequence: &u64| (1..=MAX_SEQUENCE).contains(sequence);
        if self.sequences.is_empty() || !self.sequences.iter().all(is_one) {
            return Err(format!("the sequences {:?}", self.sequences).into());
        }
        Ok(())
    }
}

impl Decided {
    pub(crate) fn new(command: &CommandMark, sequences: Vec<u64>) -> Self {
        let CommandMark { command_type, content, .. } = command.clone();
        Self { command_type, content, sequences, unknown: UnknownMembers::default() }
    }

    /// Whether the store has an event of it still. One that can't be read counts, one that was erased does not.
    pub(crate) async fn has_events(&self, tx: &Transaction, store: u64) -> tito_core::Result<bool> {
        let keys: Vec<_> = self.sequences.iter().map(|sequence| keys::log_event(store, *sequence)).collect();
        let events = tx.batch_get(keys.clone()).await?;
        let is_there = |((key, sequence), value): ((&Vec<u8>, &u64), Option<Vec<u8>>)| {
            value.is_some_and(|value| !Event::decode(key, *sequence, value).is_ok_and(|event| event.is_erased()))
        };
        Ok(keys.iter().zip(&self.sequences).zip(events).any(is_there))
    }

    /// Whether a command is the one that came to this.
    ///
    /// # Errors
    /// [`EventStoreError::CommandIdTaken`].
    pub(crate) fn check(&self, command: &CommandMark) -> Result<()> {
        let is_other = matches!((&self.content, &command.content), (Some(first), Some(again)) if first != again);
        if self.command_type == command.command_type && !is_other {
            return Ok(());
        }
        Err(EventStoreError::CommandIdTaken {
            id: command.id.clone(),
            first: self.command_type.clone(),
            again: command.command_type.clone(),
        })
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
        let vectors: Vec<_> = page.lines().filter_map(|line| line.strip_prefix("log_command_value ")).collect();
        assert_eq!(vectors.len(), 2);
        for vector in vectors {
            let decoded = Decided::decode(b"key", vector.as_bytes()).unwrap();
            assert_eq!(String::from_utf8(decoded.encode().unwrap()).unwrap(), vector);
        }
    }
}
