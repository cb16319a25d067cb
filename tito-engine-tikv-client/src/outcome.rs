//! What the errors of a commit and of the rollback after it prove.
//!
//! - A conflict, an existing key, a lock in the way, a lock that others rolled back: answers of a server that prove by
//!   themselves that nothing was committed. All but the last come from the first phase, before a commit is sent.
//! - Anything else out of a commit proves nothing. A failed RPC comes as `GrpcAPI`, which does not set the client's
//!   `UndeterminedError`, and the request may have taken effect; a region error may be the answer to a second attempt
//!   whose first took effect without an answer. Then the primary key decides, and has to be asked before any other key is
//!   touched.
//! - A rollback on keys whose transaction was committed is refused with that.

use tikv_client::Error;

use super::failure::{key_errors, leaves};
use tito_core::Timestamp;

/// Why a commit certainly took no effect. Keys are as the server named them, empty where it named none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// Another transaction was first with a key.
    Conflict { key: Vec<u8> },
    /// Another transaction holds a lock of a key.
    Locked { key: Vec<u8> },
    /// A key that must be new exists.
    Exists { key: Vec<u8> },
    /// The transaction's locks had expired, and others rolled it back.
    RolledBack,
    /// A key is locked by a transaction whose primary key was never written.
    Orphan { start: u64 },
}

impl Refusal {
    /// Whether the answer leaves nothing to roll back in a transaction of one key: the key can't be locked any more, also
    /// not by an earlier request that arrives late.
    pub(super) fn is_final(&self) -> bool {
        matches!(self, Self::Conflict { .. } | Self::Exists { .. })
    }
}

/// What a commit's error proves, if it does.
pub(super) fn refusal(error: &Error) -> Option<Refusal> {
    let mut refusals: Vec<Refusal> = leaves(error).into_iter().filter_map(refusal_of_leaf).collect();
    // Of several, the conflict counts: its replay sees what is there now, and whether the key still exists.
    let first_conflict = refusals.iter().position(|refusal| matches!(refusal, Refusal::Conflict { .. }));
    match first_conflict {
        Some(position) => Some(refusals.swap_remove(position)),
        None => refusals.into_iter().next(),
    }
}

fn refusal_of_leaf(error: &Error) -> Option<Refusal> {
    let key_error = match error {
        Error::KeyError(key_error) => key_error,
        // Met by the prewrite only, before anything could be committed.
        Error::ResolveLockError(locks) => {
            return Some(Refusal::Locked { key: locks.first().map(|lock| lock.key.clone()).unwrap_or_default() });
        }
        Error::TxnNotFound(other) => return Some(Refusal::Orphan { start: other.start_ts }),
        _ => return None,
    };
    if let Some(conflict) = &key_error.conflict {
        return Some(Refusal::Conflict { key: conflict.key.clone() });
    }
    if let Some(existing) = &key_error.already_exist {
        return Some(Refusal::Exists { key: existing.key.clone() });
    }
    if let Some(lock) = &key_error.locked {
        return Some(Refusal::Locked { key: lock.key.clone() });
    }
    if let Some(other) = &key_error.txn_not_found {
        return Some(Refusal::Orphan { start: other.start_ts });
    }
    // Other texts here and in `abort` can be answers to a second attempt, so they prove nothing.
    key_error.retryable.contains("TxnLockNotFound").then_some(Refusal::RolledBack)
}

/// Whether the error of a rollback says that the transaction was committed: the outer option. The commit's timestamp,
/// where the text tells it: the inner one. There is no field for this, only the text of TiKV's error.
pub(super) fn committed(error: &Error) -> Option<Option<Timestamp>> {
    let mut texts = key_errors(error).map(|error| before_key(&error.abort));
    texts.find(|text| is_committed(text)).map(commit_timestamp)
}

/// The text without the key, which can hold any words.
fn before_key(text: &str) -> &str {
    text.split_once("key:").map_or(text, |(before, _)| before)
}

/// TiKV writes `…Committed { start_ts: TimeStamp(1), commit_ts: TimeStamp(2), key: … }`.
fn is_committed(text: &str) -> bool {
    text.match_indices("Committed").any(|(position, word)| {
        let (before, after) = (&text[..position], &text[position + word.len()..]);
        let is_word = |character: char| character.is_alphanumeric() || character == '_';
        !before.ends_with(is_word) && !after.starts_with(is_word)
    })
}

fn commit_timestamp(text: &str) -> Option<Timestamp> {
    let (_, rest) = text.split_once("commit_ts:")?;
    let digits = rest.trim_start().trim_start_matches("TimeStamp(");
    let end = digits.find(|character: char| !character.is_ascii_digit()).unwrap_or(digits.len());
    digits[..end].parse().ok().map(Timestamp::from_raw)
}

#[cfg(test)]
mod tests {
    use tikv_client::{ProtoKeyError, ProtoLockInfo, ProtoRegionError};

    use super::*;

    fn key_error(change: impl FnOnce(&mut ProtoKeyError)) -> Error {
        let mut error = ProtoKeyError::default();
        change(&mut error);
        Error::KeyError(Box::new(error))
    }

    fn conflict(key: &str) -> Error {
        key_error(|error| error.conflict.get_or_insert_default().key = key.into())
    }

    fn exists(key: &str) -> Error {
        key_error(|error| error.already_exist.get_or_insert_default().key = key.into())
    }

    fn aborted(text: &str) -> Error {
        key_error(|error| error.abort = text.to_string())
    }

    fn wrapped(error: fn() -> Error) -> [Error; 4] {
        [
            error(),
            Error::MultipleKeyErrors(vec![error()]),
            Error::ExtractedErrors(vec![Error::MultipleKeyErrors(vec![error()])]),
            Error::UndeterminedError(Box::new(error())),
        ]
    }

    #[test]
    fn answers_that_name_the_reason_prove_that_nothing_was_committed() {
        let key = || b"a".to_vec();
        for error in wrapped(|| conflict("a")) {
            assert_eq!(refusal(&error), Some(Refusal::Conflict { key: key() }), "{error:?}");
        }
        for error in wrapped(|| exists("a")) {
            assert_eq!(refusal(&error), Some(Refusal::Exists { key: key() }), "{error:?}");
        }
        let gone = "Error(Txn(Error(Mvcc(Error(TxnLockNotFound { start_ts: TimeStamp(1), commit_ts: TimeStamp(2), \
                    key: [97] })))))";
        let gone = key_error(|error| error.retryable = gone.to_string());
        assert_eq!(refusal(&gone), Some(Refusal::RolledBack));
        let orphan = key_error(|error| error.txn_not_found.get_or_insert_default().start_ts = 7);
        assert_eq!(refusal(&orphan), Some(Refusal::Orphan { start: 7 }));
    }

    #[test]
    fn a_lock_of_another_transaction_is_told_with_its_key() {
        let lock = ProtoLockInfo { key: b"a".to_vec(), ..Default::default() };
        let expected = Some(Refusal::Locked { key: b"a".to_vec() });
        assert_eq!(refusal(&Error::ResolveLockError(vec![lock.clone()])), expected);
        assert_eq!(refusal(&key_error(|error| error.locked = Some(lock))), expected);
    }

    #[test]
    fn of_a_conflict_and_an_existing_key_the_conflict_counts() {
        let both = Error::MultipleKeyErrors(vec![exists("a"), conflict("b")]);
        assert_eq!(refusal(&both), Some(Refusal::Conflict { key: b"b".to_vec() }));
    }

    #[test]
    fn errors_that_can_follow_an_attempt_that_took_effect_prove_nothing() {
        let busy = ProtoRegionError { server_is_busy: Some(Default::default()), ..Default::default() };
        let ambiguous = [
            Error::RegionError(Box::new(busy.clone())),
            Error::ExtractedErrors(vec![Error::RegionError(Box::new(busy))]),
            Error::UndeterminedError(Box::new(Error::InternalError { message: "broken".to_string() })),
            Error::InternalError { message: "broken".to_string() },
            Error::StringError("broken".to_string()),
            aborted("the disk is full"),
            key_error(|error| error.retryable = "later".to_string()),
            Error::MultipleKeyErrors(vec![]),
        ];
        for error in ambiguous {
            assert_eq!(refusal(&error), None, "{error:?}");
        }
    }

    #[test]
    fn a_rollback_refused_because_of_the_commit_tells_its_timestamp() {
        let text = "Error(Txn(Error(Mvcc(Error(Committed { start_ts: TimeStamp(410), commit_ts: TimeStamp(417), \
                    key: [97], }))))";
        let error = Error::ExtractedErrors(vec![aborted(text)]);
        assert_eq!(committed(&error), Some(Some(Timestamp::from_raw(417))));
        let bare = Error::ExtractedErrors(vec![aborted("Committed { start_ts: 410, commit_ts: 417 }")]);
        assert_eq!(committed(&bare), Some(Some(Timestamp::from_raw(417))));
        assert_eq!(committed(&aborted("Committed")), Some(None), "without a timestamp");
    }

    #[test]
    fn other_texts_of_a_rollback_do_not_say_that_it_was_committed() {
        for text in [
            "NotCommitted { start_ts: 1 }",
            "CommittedBefore",
            "CommitTsExpired",
            "",
            "Locked",
            "Other { key: Committed }",
        ] {
            assert_eq!(committed(&aborted(text)), None, "{text:?}");
        }
        assert_eq!(committed(&Error::StringError("Committed".to_string())), None, "not an answer about a key");
    }
}
