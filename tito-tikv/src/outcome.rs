//! What became of a commit.
use crate::error::Key;
use crate::{Error, Timestamp};

/// What became of a commit: one of three, and nothing in between.
///
/// `docs/outcomes.md` of this crate proves for each failure at each step which of the three it is.
#[derive(Clone, Debug)]
#[must_use = "a commit may have failed, or its outcome may be unknown"]
pub enum Outcome {
    /// All writes are durable, and every snapshot from this timestamp on has them.
    Committed(Timestamp),
    /// No write is there or ever will be.
    NotCommitted(Reason),
    /// It can't be told. Either all writes are there, now or a little later, or none ever will be.
    ///
    /// Only a read tells which: of a key that this transaction alone would have written.
    Unknown(Error),
}

impl Outcome {
    /// The commit timestamp.
    ///
    /// # Errors
    ///
    /// [`CommitError`], if it was not committed or nobody knows.
    pub fn committed(self) -> Result<Timestamp, CommitError> {
        match self {
            Outcome::Committed(timestamp) => Ok(timestamp),
            Outcome::NotCommitted(reason) => Err(CommitError::NotCommitted(reason)),
            Outcome::Unknown(source) => Err(CommitError::Unknown(source)),
        }
    }
}

/// The outcomes but `Committed`, for the operator `?`.
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
    /// Another transaction has written the key since this one began. A new transaction can succeed.
    #[error("key {key} was written at {at} by the transaction of {by}")]
    Conflict {
        /// The key, of which there may be more.
        key: Key,
        /// The start of the other transaction.
        by: Timestamp,
        /// Its commit; zero where the store did not say.
        at: Timestamp,
    },
    /// A key that must be new exists.
    #[error("key {key} exists")]
    Exists {
        /// The key.
        key: Key,
    },
    /// Another transaction held a key until the deadline. A new transaction can succeed.
    #[error("key {key} was locked by the transaction of {holder} until the deadline")]
    Locked {
        /// The key.
        key: Key,
        /// The start of the other transaction.
        holder: Timestamp,
    },
    /// Others have rolled the transaction back, as its locks had expired. A new transaction can succeed.
    #[error("the transaction was rolled back by others, as its locks had expired")]
    RolledBack,
    /// The transaction would have been committed later than allowed after its start.
    #[error("the transaction was {age_millis} ms old, expected at most {limit_millis} ms")]
    TooOld {
        /// Its age, by PD's clock or as it went by here.
        age_millis: u64,
        /// What was allowed.
        limit_millis: u64,
    },
    /// The cluster could not be asked, or refused. [`Error::can_retry_help`] says whether a new transaction can
    /// succeed.
    #[error("the cluster failed before the transaction was committed")]
    Failed(#[source] Error),
}
