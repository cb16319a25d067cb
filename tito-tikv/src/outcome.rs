//! What became of a commit.
use crate::error::Key;
use crate::{Error, Timestamp};

/// What became of a commit: one of three, and nothing in between.
///
/// `docs/outcomes.md` of this crate proves which of the three follows from each failure at each step.
#[derive(Clone, Debug)]
#[must_use = "a commit may have failed, or its outcome may be unknown"]
pub enum Outcome {
    /// All writes are durable, and every snapshot from this timestamp on sees them.
    Committed(Timestamp),
    /// No write took effect, and none ever will.
    NotCommitted(Reason),
    /// It is not known. Either all writes take effect, now or a little later, or none ever will.
    ///
    /// Only a read tells which: read a key that no other transaction would have written.
    Unknown(Error),
}

impl Outcome {
    /// The commit timestamp.
    ///
    /// # Errors
    ///
    /// [`CommitError`] if it was not committed, or if that is not known.
    pub fn committed(self) -> Result<Timestamp, CommitError> {
        match self {
            Outcome::Committed(timestamp) => Ok(timestamp),
            Outcome::NotCommitted(reason) => Err(CommitError::NotCommitted(reason)),
            Outcome::Unknown(source) => Err(CommitError::Unknown(source)),
        }
    }
}

/// The outcomes other than `Committed`, for use with `?`.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CommitError {
    /// Like [`Outcome::NotCommitted`].
    #[error("not committed")]
    NotCommitted(#[source] Reason),
    /// Like [`Outcome::Unknown`].
    #[error("it is not known whether the transaction was committed")]
    Unknown(#[source] Error),
}

/// Why nothing was committed.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Reason {
    /// Another transaction has written a key since this one began. A new transaction can succeed.
    #[error("key {key} was written at {at} by the transaction of {by}")]
    Conflict {
        /// The key; there may be more of them.
        key: Key,
        /// The start of the other transaction.
        by: Timestamp,
        /// Its commit; zero where the store did not say.
        at: Timestamp,
    },
    /// A key that had to be new exists already.
    #[error("key {key} exists")]
    Exists {
        /// The key.
        key: Key,
    },
    /// Another transaction held a key: one that began later, and would commit too late for this one, or an earlier one
    /// until the deadline. A new transaction can succeed.
    #[error("key {key} was locked by the transaction of {holder}")]
    Locked {
        /// The key.
        key: Key,
        /// The start of the other transaction.
        holder: Timestamp,
    },
    /// Others rolled the transaction back after its locks had expired. A new transaction can succeed.
    #[error("the transaction was rolled back by others, as its locks had expired")]
    RolledBack,
    /// The transaction would have committed later after its start than allowed.
    #[error("the transaction was {age_millis} ms old, expected at most {limit_millis} ms")]
    TooOld {
        /// Its age, by PD's clock or by this process's.
        age_millis: u64,
        /// The age allowed.
        limit_millis: u64,
    },
    /// The cluster could not be reached, or refused. [`Error::can_retry_help`] says whether a new transaction can
    /// succeed.
    #[error("the cluster failed before the transaction was committed")]
    Failed(#[source] Error),
}
