//! What can go wrong with a backup.

use std::io;
use std::sync::Arc;

use tito_core::{KeyText, TitoError};

/// The result of nearly everything in this crate.
pub type Result<T, E = BackupError> = std::result::Result<T, E>;

/// Why a backup was not made, or not restored.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackupError {
    /// The database that is read or filled failed. [`TitoError::is_transient`] says whether it can help to try again.
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

    /// What is read is no backup, or not as it was written: cut short, altered, in another order, followed by more. What
    /// was being filled from it stays incomplete, and refuses to be opened.
    #[error("the backup can't be used: at byte {at} expected {expected}, found {found}")]
    Damaged {
        /// Where, in bytes from the beginning of the stream.
        at: u64,
        /// What should be there.
        expected: String,
        /// What is.
        found: String,
    },

    /// The backup was written by a later version of Tito, in a form that this one does not know.
    #[error(
        "the backup is written in format {found}, this program knows formats up to {known}: it needs a later version of Tito"
    )]
    NewerFormat {
        /// The format of the backup, or of the keys and values in it.
        found: u32,
        /// The latest that this program knows.
        known: u32,
    },

    /// A database without an identity of its own can't be told from others, and is not backed up.
    #[error("the engine of the database keeps no identity, which a backup has to name")]
    NoIdentity,

    /// The target is being filled already, from something else. Nothing was changed: go on with that, or delete the target.
    #[error("the target is being filled by {mark}, and not by this {by}")]
    OtherSource {
        /// What fills it, as it has noted it.
        mark: String,
        /// What was to fill it.
        by: &'static str,
    },

    /// What a target was filled with so far is not what the source has now, so it can't be gone on with. Delete the target
    /// and begin anew; a database that is copied has to be closed until the copy is whole.
    #[error(
        "up to key {key} the source is not what the target was filled with: it was written meanwhile, or is another one"
    )]
    SourceChanged {
        /// The last key that was filled in.
        key: KeyText,
    },

    /// Two processes fill one target.
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
