//! What an error of the client means to a call that can be made again.
//!
//! The client wraps errors by the path that they took: a key error comes as `MultipleKeyErrors` even for one key, in an
//! `ExtractedErrors` after a commit, in a `PessimisticLockError` after a lock. So every wrapper is looked into.

use tikv_client::{Error, ProtoKeyError, ProtoRegionError};

/// The errors inside all wrappers.
pub(super) fn leaves(error: &Error) -> Vec<&Error> {
    match error {
        Error::ExtractedErrors(errors) | Error::MultipleKeyErrors(errors) => errors.iter().flat_map(leaves).collect(),
        Error::PessimisticLockError { inner, .. } | Error::UndeterminedError(inner) => leaves(inner),
        leaf => vec![leaf],
    }
}

/// The key errors inside all wrappers: what a TiKV server answered about a key.
pub(super) fn key_errors(error: &Error) -> impl Iterator<Item = &ProtoKeyError> {
    leaves(error).into_iter().filter_map(|leaf| match leaf {
        Error::KeyError(key_error) => Some(&**key_error),
        _ => None,
    })
}

/// What a failed call calls for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// It passes by itself: a busy or changing cluster, a lock of a living transaction, a broken connection.
    Passing,
    /// A key is locked by the transaction that began at `start`, whose primary key was never written: another one is
    /// just between two batches of its prewrite, or its client died there.
    Orphan {
        /// The other transaction's start.
        start: u64,
    },
    /// The answer is larger than the decode limit.
    TooLarge,
    /// The same call fails again.
    Lasting,
}

impl Failure {
    pub(super) fn of(error: &Error) -> Self {
        // An empty list, which the client makes of some failed clean-ups, says nothing, so it may pass.
        let mut worst = Self::Passing;
        for leaf in leaves(error) {
            match Self::of_leaf(leaf) {
                Self::Passing => {}
                Self::Lasting => return Self::Lasting,
                other => worst = other,
            }
        }
        worst
    }

    fn of_leaf(error: &Error) -> Self {
        match error {
            Error::KeyError(key_error) => Self::of_key_error(key_error),
            Error::TxnNotFound(other) => Self::Orphan { start: other.start_ts },
            Error::RegionError(error) => Self::of_region_error(error),
            // The type of the code can't be named without a dependency on the client's version of tonic.
            Error::GrpcAPI(status) => Self::of_grpc_code(status.code() as i32),
            // The client waits for a lock for a second and a half, less than the locks of a dead client live.
            Error::ResolveLockError(_)
            | Error::Grpc(_)
            | Error::Io(_)
            // The stream of timestamps broke; the client makes a new one.
            | Error::Channel(_)
            | Error::Canceled(_)
            | Error::LeaderNotFound { .. }
            | Error::RegionForKeyNotFound { .. }
            | Error::RegionForRangeNotFound { .. }
            | Error::RegionNotFoundInResponse { .. }
            | Error::EntryNotFoundInRegionCache
            | Error::NoCurrentRegions
            // What PD answered, or that none of its members did.
            | Error::InternalError { .. }
            | Error::KvError { .. } => Self::Passing,
            _ => Self::Lasting,
        }
    }

    fn of_key_error(error: &ProtoKeyError) -> Self {
        if let Some(other) = &error.txn_not_found {
            return Self::Orphan { start: other.start_ts };
        }
        // A commit timestamp is taken anew by the client, but it looks for the error in another wrapper.
        if error.locked.is_some() || error.commit_ts_expired.is_some() || !error.retryable.is_empty() {
            return Self::Passing;
        }
        Self::Lasting
    }

    /// `ServerIsBusy` and its like come back from the client without having been tried again.
    fn of_region_error(error: &ProtoRegionError) -> Self {
        if error.raft_entry_too_large.is_some() { Self::Lasting } else { Self::Passing }
    }

    /// By the numbers of gRPC's codes.
    fn of_grpc_code(code: i32) -> Self {
        match code {
            // Out of range is what the client makes of an answer over its decode limit.
            11 => Self::TooLarge,
            // Cancelled (by the client's timeout), unknown, deadline exceeded, resource exhausted, aborted, internal,
            // unavailable, data loss (of a broken stream).
            1 | 2 | 4 | 8 | 10 | 13 | 14 | 15 => Self::Passing,
            // Invalid argument, not found, already exists, permission denied, failed precondition, unimplemented,
            // unauthenticated.
            _ => Self::Lasting,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key_error(change: impl FnOnce(&mut ProtoKeyError)) -> Error {
        let mut error = ProtoKeyError::default();
        change(&mut error);
        Error::KeyError(Box::new(error))
    }

    fn region_error(change: impl FnOnce(&mut ProtoRegionError)) -> Error {
        let mut error = ProtoRegionError::default();
        change(&mut error);
        Error::RegionError(Box::new(error))
    }

    #[test]
    fn every_wrapper_is_looked_into() {
        let orphan = || {
            key_error(|error| {
                error.txn_not_found = Some(Default::default());
                if let Some(other) = &mut error.txn_not_found {
                    other.start_ts = 7;
                }
            })
        };
        let wrapped = [
            orphan(),
            Error::MultipleKeyErrors(vec![orphan()]),
            Error::ExtractedErrors(vec![Error::MultipleKeyErrors(vec![orphan()])]),
            Error::UndeterminedError(Box::new(orphan())),
            Error::PessimisticLockError { inner: Box::new(orphan()), success_keys: vec![] },
        ];
        for error in wrapped {
            assert_eq!(Failure::of(&error), Failure::Orphan { start: 7 }, "{error:?}");
        }
    }

    #[test]
    fn what_a_cluster_in_motion_answers_passes() {
        let passing = [
            region_error(|error| error.server_is_busy = Some(Default::default())),
            region_error(|error| error.not_leader = Some(Default::default())),
            region_error(|_| {}),
            key_error(|error| error.locked = Some(Default::default())),
            key_error(|error| error.retryable = "later".to_string()),
            key_error(|error| error.commit_ts_expired = Some(Default::default())),
            Error::ResolveLockError(vec![]),
            Error::InternalError { message: "PD has no leader".to_string() },
            Error::MultipleKeyErrors(vec![]),
        ];
        for error in passing {
            assert_eq!(Failure::of(&error), Failure::Passing, "{error:?}");
        }
    }

    #[test]
    fn what_a_server_refuses_lasts_whatever_came_with_it() {
        let aborted = || key_error(|error| error.abort = "no".to_string());
        let lasting = [
            aborted(),
            region_error(|error| error.raft_entry_too_large = Some(Default::default())),
            Error::Unimplemented,
            Error::KeyspaceNotFound("one".to_string()),
            Error::ExtractedErrors(vec![Error::ResolveLockError(vec![]), aborted()]),
        ];
        for error in lasting {
            assert_eq!(Failure::of(&error), Failure::Lasting, "{error:?}");
        }
    }

    #[test]
    fn grpc_codes_are_told_apart() {
        assert_eq!(Failure::of_grpc_code(11), Failure::TooLarge);
        for passing in [1, 2, 4, 8, 10, 13, 14, 15] {
            assert_eq!(Failure::of_grpc_code(passing), Failure::Passing, "code {passing}");
        }
        for lasting in [3, 5, 6, 7, 9, 12, 16] {
            assert_eq!(Failure::of_grpc_code(lasting), Failure::Lasting, "code {lasting}");
        }
    }
}
