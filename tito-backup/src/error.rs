//! What can go wrong with a backup.

use std::io;
use std::sync::Arc;

use tito_core::{KeyText, TitoError};

/// The result of nearly everything in this crate.
pub type Result<T, E = BackupError> = std::result::Result<T, E>;

/// Why a backup was not taken, or not restored.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackupError {
    /// The database that is read or filled failed. [`TitoError::is_transient`] says whether a retry can help.
    #[error(transparent)]
    Database(#[from] TitoError),

    /// The stream could not be read or written.
    #[error("{doing} failed")]
    Stream {
        /// What was being done.
        doing: &'static str,
        /// What the stream said.
        #[source]
        source: Arc<io::Error>,
    },

    /// The stream is not a backup, or not as it was written: cut short, altered, in another order, followed by more. A
    /// target that was being filled from it stays incomplete, and refuses to be opened.
    #[error("the backup can't be used: at byte {at} expected {expected}, found {found}")]
    Damaged {
        /// Where, in bytes from the beginning of the stream.
        at: u64,
        /// What should be there.
        expected: String,
        /// What is.
        found: String,
    },

    /// The backup was written by a later version of Tito, in a format that this one does not know.
    #[error(
        "the backup is written in format {found}, this program knows formats up to {known}: it needs a later version of Tito"
    )]
    NewerFormat {
        /// The format of the backup, or of the keys and values in it.
        found: u32,
        /// The latest that this program knows.
        known: u32,
    },

    /// A database without an identity can't be told from others, and is not backed up.
    #[error("the database's engine keeps no identity, which a backup needs")]
    NoIdentity,

    /// The target is already being filled from something else. Nothing was changed: continue with that, or delete the
    /// target.
    #[error("the target is being filled by {mark}, and not by this {by}")]
    OtherSource {
        /// What fills it, as it has noted it.
        mark: String,
        /// What was to fill it.
        by: &'static str,
    },

    /// The source has changed since the target was partly filled, so the copy can't continue. Delete the target and
    /// start over; a database that is copied has to be closed until the copy is complete.
    #[error(
        "up to key {key} the source is not what the target was filled with: it was written meanwhile, or is another one"
    )]
    SourceChanged {
        /// The last key that was filled in.
        key: KeyText,
    },

    /// Two processes are filling one target.
    #[error("somebody else is filling the target too")]
    FilledTwice,
}

impl BackupError {
    pub(crate) fn stream(doing: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Stream { doing, source: Arc::new(source) }
    }

    /// The error of the database, if it was that.
    pub fn database(&self) -> Option<&TitoError> {
        match self {
            Self::Database(error) => Some(error),
            _ => None,
        }
    }
}
