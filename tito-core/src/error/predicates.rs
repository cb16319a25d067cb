//! What can be done about an error, so that callers need not list variants.

use serde::de::DeserializeOwned;

use super::{Result, TitoError};
use crate::keys;

impl TitoError {
    /// Whether the same call in a new transaction can succeed: true after a conflict, or where the storage was not
    /// available or had no space. An unknown outcome does not count as retryable, as a retry could do the work twice.
    pub fn is_retryable(&self) -> bool {
        matches!(
            self,
            Self::Conflict { .. }
                | Self::TransactionTooOld { .. }
                | Self::RetriesExhausted { .. }
                | Self::StorageFull { .. }
                | Self::Unavailable { .. }
        )
    }

    /// Whether the engine or its storage failed, rather than the call: the same call can succeed once the engine has
    /// recovered or was opened again. False for a conflict.
    pub fn is_engine_failure(&self) -> bool {
        match self {
            Self::Storage { .. }
            | Self::StorageFull { .. }
            | Self::Unavailable { .. }
            | Self::EngineClosed { .. }
            | Self::CommitUnknown { .. } => true,
            Self::RetriesExhausted { source, .. } => source.is_engine_failure(),
            _ => false,
        }
    }

    /// Whether the error proves that nothing was committed. False only for an unknown outcome.
    pub fn is_not_committed(&self) -> bool {
        !matches!(self, Self::CommitUnknown { .. })
    }

    /// Whether [`transaction`](crate::Database::transaction) runs its closure again after a commit that failed with it:
    /// after a conflict, and where the storage was not available. Nothing was committed.
    pub fn is_replayed(&self) -> bool {
        matches!(self, Self::Conflict { .. } | Self::Unavailable { .. })
    }

    /// Whether neither the call nor the data it works on is at fault: [`is_retryable`](TitoError::is_retryable), or
    /// [`is_engine_failure`](TitoError::is_engine_failure). Any other call would have failed too.
    pub fn is_transient(&self) -> bool {
        self.is_retryable() || self.is_engine_failure()
    }

    /// Whether the engine is closed, so that nothing can succeed until it is opened again.
    pub fn is_closed(&self) -> bool {
        matches!(self, Self::EngineClosed { .. })
    }

    /// The table and the unique index whose value was taken, if this error says so.
    ///
    /// ```
    /// use tito_core::{TitoError, keys};
    /// let key = keys::unique_index_entry("user", "by_email", b"ada@example.com!");
    /// let error = TitoError::AlreadyExists { key: key.into() };
    /// assert_eq!(error.violated_index(), Some(("user".to_string(), "by_email".to_string())));
    /// ```
    pub fn violated_index(&self) -> Option<(String, String)> {
        match self {
            Self::AlreadyExists { key } | Self::DuplicateRows { key, .. } => keys::parse_index_of(key.as_bytes()),
            _ => None,
        }
    }

    /// For [`AlreadyApplied`](TitoError::AlreadyApplied), the result that the first call
    /// [kept](crate::Transaction::keep_result); `None` for other errors, and if nothing was kept. An error if the kept
    /// result is not a `T`.
    pub fn first_result<T: DeserializeOwned>(&self) -> Option<Result<T>> {
        let Self::AlreadyApplied { key, result: Some(result) } = self else { return None };
        Some(serde_json::from_str(result).map_err(|source| Self::Malformed {
            key: keys::idempotency_marker(key).into(),
            expected: "the marker of an idempotency key with a result of this type",
            source: source.into(),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::SharedError;

    /// What the predicates say, in the order in which they are asked.
    fn said(error: &TitoError) -> [bool; 6] {
        [
            error.is_retryable(),
            error.is_engine_failure(),
            error.is_transient(),
            error.is_replayed(),
            error.is_not_committed(),
            error.is_closed(),
        ]
    }

    #[test]
    fn predicates_say_what_can_be_done() {
        let (key, source, operation) = (b"data:user:1".as_slice(), SharedError::from("lost"), "commit");
        let conflict = TitoError::Conflict { key: key.into() };
        let unavailable = TitoError::Unavailable { operation, source: source.clone() };
        let exhausted = |source: &TitoError| TitoError::RetriesExhausted { attempts: 2, source: source.clone().into() };
        let table = [
            // Retryable, the engine's failure, transient, replayed, not committed, closed.
            (exhausted(&conflict), [true, false, true, false, true, false]),
            (exhausted(&unavailable), [true, true, true, false, true, false]),
            (conflict, [true, false, true, true, true, false]),
            (unavailable, [true, true, true, true, true, false]),
            (TitoError::StorageFull { operation, source: source.clone() }, [true, true, true, false, true, false]),
            (TitoError::Storage { operation, source: source.clone() }, [false, true, true, false, true, false]),
            (TitoError::EngineClosed { reason: "full".into() }, [false, true, true, false, true, true]),
            (TitoError::CommitUnknown { source }, [false, true, true, false, false, false]),
            (TitoError::TransactionTooOld { age_millis: 2, limit_millis: 1 }, [true, false, true, false, true, false]),
            (TitoError::application("no"), [false, false, false, false, true, false]),
            (TitoError::AlreadyExists { key: key.into() }, [false, false, false, false, true, false]),
        ];
        for (error, expected) in table {
            assert_eq!(said(&error), expected, "{error:?}");
            assert_eq!(said(&error.clone()), expected, "{error:?}");
        }
    }

    #[test]
    fn clones_have_the_cause_and_tell_of_it() {
        #[derive(Debug, PartialEq, thiserror::Error)]
        #[error("the account is closed")]
        struct Closed;

        let error = TitoError::application(Closed).clone();
        let TitoError::Application(source) = &error else { unreachable!("{error:?}") };
        assert_eq!(source.downcast_ref(), Some(&Closed));
        // A chain leads to the cause itself, and not to what shares it.
        let cause = std::error::Error::source(&error).and_then(|cause| cause.downcast_ref());
        assert_eq!(cause, Some(&Closed));
    }
}
