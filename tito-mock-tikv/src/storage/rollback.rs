//! Rollback: the lock goes, and a record keeps a late prewrite or commit of the transaction out.

use crate::proto::kvrpcpb::{
    BatchRollbackRequest, BatchRollbackResponse, CleanupRequest, CleanupResponse, PessimisticRollbackRequest,
    PessimisticRollbackResponse,
};

use super::changes::Changes;
use super::failure::{Failure, Result, error_of};
use super::history::Outcome;
use super::records::{Lock, Write, WriteKind};
use super::state::State;

/// Whether later rollbacks of other transactions may drop this one's record.
///
/// They may if nobody needs it: a prewrite that comes late takes a lock then, which is cleaned up like that of a
/// crashed client, because the primary's record is still there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protection {
    Protected,
    Collapsible,
}

impl Protection {
    fn is_protected(self) -> bool {
        self == Protection::Protected
    }
}

/// Rolls back all keys of the request or, if one is committed, none.
pub(super) fn batch_rollback(state: &mut State, request: &BatchRollbackRequest) -> BatchRollbackResponse {
    let mut changes = Changes::default();
    let result = request.keys.iter().try_for_each(|key| {
        roll_back_key(state, &mut changes, key, request.start_version, None, Protection::Collapsible)
    });
    if result.is_ok() {
        state.apply(changes);
    }
    BatchRollbackResponse { error: error_of(result), ..BatchRollbackResponse::default() }
}

/// Rolls back one key whose lock has expired; one that is committed is told by its commit timestamp.
pub(super) fn cleanup(state: &mut State, request: &CleanupRequest) -> CleanupResponse {
    let mut changes = Changes::default();
    let now = (request.current_ts != 0).then_some(request.current_ts);
    let result = roll_back_key(state, &mut changes, &request.key, request.start_version, now, Protection::Protected);
    match result {
        Ok(()) => {
            state.apply(changes);
            CleanupResponse::default()
        }
        Err(Failure::Committed { commit_ts, .. }) => {
            CleanupResponse { commit_version: commit_ts, ..CleanupResponse::default() }
        }
        Err(failure) => CleanupResponse { error: Some(failure.into_key_error()), ..CleanupResponse::default() },
    }
}

/// Takes pessimistic locks away that were taken no later than `for_update_ts`; leaves no record.
pub(super) fn pessimistic_rollback(
    state: &mut State,
    request: &PessimisticRollbackRequest,
) -> PessimisticRollbackResponse {
    let mut changes = Changes::default();
    for key in &request.keys {
        let lock = state.lock_of(key, request.start_version);
        if lock.is_some_and(|lock| lock.is_pessimistic() && lock.for_update_ts <= request.for_update_ts) {
            changes.delete_lock(key);
        }
    }
    state.apply(changes);
    PessimisticRollbackResponse::default()
}

/// Rolls back one key; with a `now`, only if the lock has expired by then.
pub(super) fn roll_back_key(
    state: &State,
    changes: &mut Changes,
    key: &[u8],
    start_ts: u64,
    now: Option<u64>,
    protection: Protection,
) -> Result<()> {
    if let Some(lock) = state.lock_of(key, start_ts) {
        if now.is_some_and(|now| !lock.is_expired(now)) {
            return Err(Failure::Locked(Box::new(lock.info(key))));
        }
        roll_back_lock(state, changes, key, lock, !protection.is_protected());
        return Ok(());
    }
    match state.outcome(key, start_ts) {
        Outcome::Committed { commit_ts } => Err(Failure::Committed { start_ts, commit_ts, key: key.to_vec() }),
        Outcome::RolledBack => Ok(()),
        Outcome::Unknown { overlapped } => {
            roll_back_missing(state, changes, key, start_ts, overlapped, protection);
            Ok(())
        }
    }
}

/// Takes a transaction's lock away and records the rollback; `collapse` drops the record of an earlier one.
pub(super) fn roll_back_lock(state: &State, changes: &mut Changes, key: &[u8], lock: &Lock, collapse: bool) {
    let outcome = state.outcome(key, lock.start_ts);
    if matches!(outcome, Outcome::Unknown { .. }) {
        if lock.has_long_value() {
            changes.delete_value(key, lock.start_ts);
        }
        // Of a pessimistic transaction only the primary's record decides.
        let protected = lock.belongs_to_pessimistic_transaction() && lock.primary == key;
        put_rollback(changes, key, lock.start_ts, protected, outcome.overlapped());
        if collapse {
            collapse_rollback(state, changes, key, lock.start_ts);
        }
    }
    changes.delete_lock(key);
}

/// Records the rollback of a transaction that has neither lock nor record on the key.
pub(super) fn roll_back_missing(
    state: &State,
    changes: &mut Changes,
    key: &[u8],
    start_ts: u64,
    overlapped: Option<&Write>,
    protection: Protection,
) {
    if !protection.is_protected() {
        collapse_rollback(state, changes, key, start_ts);
    }
    if overlapped.is_none() && protection.is_protected() {
        mark_rollback_in_lock(state, changes, key, start_ts);
    }
    put_rollback(changes, key, start_ts, protection.is_protected(), overlapped);
}

/// Writes a rollback record; where a commit record stands in its place, a protected one is marked in that.
pub(super) fn put_rollback(
    changes: &mut Changes,
    key: &[u8],
    start_ts: u64,
    protected: bool,
    overlapped: Option<&Write>,
) {
    match overlapped {
        None => changes.put_write(key, start_ts, Write::rollback(start_ts, protected)),
        Some(write) if protected => {
            changes.put_write(key, start_ts, Write { has_overlapped_rollback: true, ..write.clone() });
        }
        Some(_) => {}
    }
}

/// Drops the newest record before `start_ts` if it is a rollback that nobody needs: a key on which transactions are
/// rolled back again and again would grow otherwise.
pub(super) fn collapse_rollback(state: &State, changes: &mut Changes, key: &[u8], start_ts: u64) {
    if let Some((at, write)) = state.history(key).at_or_before(start_ts).next()
        && write.kind == WriteKind::Rollback
        && !write.protected
    {
        changes.delete_write(key, at);
    }
}

/// Notes a rollback in another transaction's lock, whose commit record could come to stand in the rollback's place.
///
/// Only a calculated commit timestamp can be another transaction's start timestamp.
pub(super) fn mark_rollback_in_lock(state: &State, changes: &mut Changes, key: &[u8], start_ts: u64) {
    if let Some(lock) = state.lock(key)
        && lock.use_async_commit
        && start_ts >= lock.min_commit_ts
    {
        let mut lock = lock.clone();
        lock.rollbacks.push(start_ts);
        changes.put_lock(key, lock);
    }
}
