//! What a command with an id has come to, as it is stored.

use crate::keys::MAX_SEQUENCE;
use serde::{Deserialize, Serialize};
use tito_core::row::{StoredRow, UnknownMembers};
use tito_core::{BoxError, keeps_unknown_members};

use crate::error::{EventStoreError, Result};

/// By what a command is known again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CommandMark {
    pub(crate) id: String,
    pub(crate) command_type: Option<String>,
}

/// The events that a command came to. `docs/format.md` specifies it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Decided {
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    command_type: Option<String>,
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
        Self { command_type: command.command_type.clone(), sequences, unknown: UnknownMembers::default() }
    }

    /// The last of its events, after which nothing is left to answer with.
    pub(crate) fn last(&self) -> Option<u64> {
        self.sequences.iter().copied().max()
    }

    /// Whether a command is the one that came to this.
    ///
    /// # Errors
    /// [`EventStoreError::CommandIdTaken`].
    pub(crate) fn check(&self, command: &CommandMark) -> Result<()> {
        if self.command_type == command.command_type {
            return Ok(());
        }
        Err(EventStoreError::CommandIdTaken {
            id: command.id.clone(),
            first: self.command_type.clone(),
            again: command.command_type.clone(),
        })
    }
}
