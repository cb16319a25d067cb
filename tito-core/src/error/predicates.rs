//! What can be done about an error, so that nobody has to list variants.

use super::TitoError;
use crate::keys;

impl TitoError {
    /// Whether the same call in a new transaction can succeed: true after a conflict, or where the storage was not
    /// available or had no space. An unknown outcome is not retryable by this measure, as a retry could do the work twice.
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

    /// Whether the engine failed, or its storage, and not the call: the same call can succeed once the engine is well, or
    /// was opened again. A conflict is none.
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

    /// Whether the error proves that nothing was committed. False for an unknown outcome only.
    pub fn is_not_committed(&self) -> bool {
        !matches!(self, Self::CommitUnknown { .. })
    }

    /// Whether [`transaction`](crate::Database::transaction) runs its closure again after a commit that failed with it:
    /// after a conflict, and where the storage was not available. Nothing was committed.
    pub fn is_replayed(&self) -> bool {
        matches!(self, Self::Conflict { .. } | Self::Unavailable { .. })
    }

    /// Whether neither the call is at fault nor what it works on: [`is_retryable`](TitoError::is_retryable), or
    /// [`is_engine_failure`](TitoError::is_engine_failure). Another call would have met the same.
    pub fn is_transient(&self) -> bool {
        self.is_retryable() || self.is_engine_failure()
    }

    /// Whether the engine is closed, so that nothing can succeed until it was opened again.
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
