//! Why a request fails, and how the client is told.

use tito_tikv_proto::kvrpcpb::{
    AlreadyExist, Assertion, AssertionFailed, CommitTsExpired, CommitTsTooLarge, Deadlock, KeyError, LockInfo,
    PrimaryMismatch, TxnLockNotFound, TxnNotFound, WriteConflict, write_conflict::Reason,
};

/// The result for one key of a request.
pub(super) type Result<T> = std::result::Result<T, Failure>;

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Failure {
    Locked(Box<LockInfo>),
    WriteConflict(Box<Conflict>),
    AlreadyExists {
        key: Vec<u8>,
    },
    AssertionFailed {
        start_ts: u64,
        key: Vec<u8>,
        assertion: Assertion,
        existing_start_ts: u64,
        existing_commit_ts: u64,
    },
    /// A commit found neither the lock nor the commit record.
    LockNotFound {
        start_ts: u64,
        commit_ts: u64,
        key: Vec<u8>,
    },
    TransactionNotFound {
        start_ts: u64,
        primary: Vec<u8>,
    },
    CommitTsExpired {
        start_ts: u64,
        commit_ts: u64,
        key: Vec<u8>,
        min_commit_ts: u64,
    },
    /// A rollback found the transaction committed.
    Committed {
        start_ts: u64,
        commit_ts: u64,
        key: Vec<u8>,
    },
    PessimisticLockNotFound {
        start_ts: u64,
        key: Vec<u8>,
        reason: NotFoundReason,
    },
    /// A lock was requested if the key exists, but without asking for the value.
    LockIfExistsFailed {
        start_ts: u64,
        key: Vec<u8>,
    },
    /// A flush is older than what it would overwrite.
    GenerationOutOfOrder {
        key: Vec<u8>,
        generation: u64,
        of_lock: u64,
    },
    /// A calculated commit timestamp is above what the client allows.
    CommitTsTooLarge {
        min_commit_ts: u64,
    },
    PessimisticLockRolledBack {
        start_ts: u64,
        key: Vec<u8>,
    },
    /// The transaction's own lock is pessimistic where another is expected, or the other way round.
    LockTypeNotMatch {
        start_ts: u64,
        key: Vec<u8>,
        pessimistic: bool,
    },
    InvalidTxnTso {
        start_ts: u64,
        commit_ts: u64,
    },
    Deadlock(Box<Deadlock>),
    PrimaryMismatch(Box<LockInfo>),
    /// A request that TiKV would not expect from a client.
    Invalid(String),
}

/// Why a pessimistic lock is considered lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotFoundReason {
    LockTsMismatch,
    LockMissingAmendFail,
    LockForUpdateTsMismatch,
    NonLockKeyConflict,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Conflict {
    pub(super) start_ts: u64,
    pub(super) conflict_start_ts: u64,
    pub(super) conflict_commit_ts: u64,
    pub(super) key: Vec<u8>,
    pub(super) primary: Vec<u8>,
    pub(super) reason: Reason,
}

impl Failure {
    /// The error as it goes over the wire.
    pub(super) fn into_key_error(self) -> KeyError {
        let text = self.text();
        let error = KeyError::default();
        match self {
            Failure::Locked(lock) => KeyError { locked: Some(*lock), ..error },
            Failure::WriteConflict(conflict) => {
                let conflict = WriteConflict {
                    start_ts: conflict.start_ts,
                    conflict_ts: conflict.conflict_start_ts,
                    key: conflict.key,
                    primary: conflict.primary,
                    conflict_commit_ts: conflict.conflict_commit_ts,
                    reason: conflict.reason.into(),
                    ..WriteConflict::default()
                };
                // TiKV fills both; the text is for old clients.
                KeyError { conflict: Some(conflict), retryable: text, ..error }
            }
            Failure::AlreadyExists { key } => {
                KeyError { already_exist: Some(AlreadyExist { key, ..AlreadyExist::default() }), ..error }
            }
            Failure::AssertionFailed { start_ts, key, assertion, existing_start_ts, existing_commit_ts } => {
                let failed = AssertionFailed {
                    start_ts,
                    key,
                    assertion: assertion.into(),
                    existing_start_ts,
                    existing_commit_ts,
                    ..AssertionFailed::default()
                };
                KeyError { assertion_failed: Some(failed), ..error }
            }
            Failure::LockNotFound { key, .. } => KeyError {
                retryable: text,
                txn_lock_not_found: Some(TxnLockNotFound { key, ..TxnLockNotFound::default() }),
                ..error
            },
            Failure::TransactionNotFound { start_ts, primary } => KeyError {
                txn_not_found: Some(TxnNotFound { start_ts, primary_key: primary, ..TxnNotFound::default() }),
                ..error
            },
            Failure::CommitTsExpired { start_ts, commit_ts, key, min_commit_ts } => {
                let expired = CommitTsExpired {
                    start_ts,
                    attempted_commit_ts: commit_ts,
                    key,
                    min_commit_ts,
                    ..CommitTsExpired::default()
                };
                KeyError { commit_ts_expired: Some(expired), ..error }
            }
            Failure::Deadlock(deadlock) => KeyError { deadlock: Some(*deadlock), ..error },
            Failure::CommitTsTooLarge { min_commit_ts } => KeyError {
                commit_ts_too_large: Some(CommitTsTooLarge { commit_ts: min_commit_ts, ..CommitTsTooLarge::default() }),
                ..error
            },
            Failure::PrimaryMismatch(lock) => KeyError {
                primary_mismatch: Some(PrimaryMismatch { lock_info: Some(*lock), ..PrimaryMismatch::default() }),
                ..error
            },
            Failure::Committed { .. }
            | Failure::PessimisticLockNotFound { .. }
            | Failure::PessimisticLockRolledBack { .. }
            | Failure::LockIfExistsFailed { .. }
            | Failure::GenerationOutOfOrder { .. }
            | Failure::LockTypeNotMatch { .. }
            | Failure::InvalidTxnTso { .. }
            | Failure::Invalid(_) => KeyError { abort: text, ..error },
        }
    }

    /// The content of the fields `retryable` and `abort`, by which some clients tell failures apart.
    fn text(&self) -> String {
        let inner = match self {
            Failure::WriteConflict(conflict) => format!(
                "WriteConflict {{ start_ts: {}, conflict_start_ts: {}, conflict_commit_ts: {}, key: {}, reason: {:?} }}",
                conflict.start_ts,
                conflict.conflict_start_ts,
                conflict.conflict_commit_ts,
                conflict.key.escape_ascii(),
                conflict.reason
            ),
            Failure::LockNotFound { start_ts, commit_ts, key } => format!(
                "TxnLockNotFound {{ start_ts: {start_ts}, commit_ts: {commit_ts}, key: {} }}",
                key.escape_ascii()
            ),
            Failure::Committed { start_ts, commit_ts, key } => {
                format!("Committed {{ start_ts: {start_ts}, commit_ts: {commit_ts}, key: {} }}", key.escape_ascii())
            }
            Failure::PessimisticLockNotFound { start_ts, key, reason } => format!(
                "PessimisticLockNotFound {{ start_ts: {start_ts}, key: {}, reason: {reason:?} }}",
                key.escape_ascii()
            ),
            Failure::LockIfExistsFailed { start_ts, key } => {
                format!("LockIfExistsFailed {{ start_ts: {start_ts}, key: {} }}", key.escape_ascii())
            }
            Failure::PessimisticLockRolledBack { start_ts, key } => {
                format!("PessimisticLockRolledBack {{ start_ts: {start_ts}, key: {} }}", key.escape_ascii())
            }
            Failure::GenerationOutOfOrder { key, generation, of_lock } => {
                format!("GenerationOutOfOrder {{ key: {}, {generation} after {of_lock} }}", key.escape_ascii())
            }
            Failure::LockTypeNotMatch { start_ts, key, pessimistic } => format!(
                "LockTypeNotMatch {{ start_ts: {start_ts}, key: {}, pessimistic: {pessimistic} }}",
                key.escape_ascii()
            ),
            Failure::InvalidTxnTso { start_ts, commit_ts } => {
                return format!("Error(Txn(Error(InvalidTxnTso {{ start_ts: {start_ts}, commit_ts: {commit_ts} }})))");
            }
            Failure::Invalid(what) => return format!("Error(Txn(Error(Other({what:?}))))"),
            Failure::Locked(_)
            | Failure::AlreadyExists { .. }
            | Failure::AssertionFailed { .. }
            | Failure::TransactionNotFound { .. }
            | Failure::CommitTsExpired { .. }
            | Failure::CommitTsTooLarge { .. }
            | Failure::Deadlock(_)
            | Failure::PrimaryMismatch(_) => return String::new(),
        };
        format!("Error(Txn(Error(Mvcc(Error({inner})))))")
    }
}

/// The error field of a response.
pub(super) fn error_of(result: Result<()>) -> Option<KeyError> {
    result.err().map(Failure::into_key_error)
}
