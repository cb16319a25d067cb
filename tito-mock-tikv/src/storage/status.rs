//! What others learn, and decide, of a transaction by its primary key.

use crate::proto::kvrpcpb::{
    Action, CheckTxnStatusRequest, CheckTxnStatusResponse, TxnHeartBeatRequest, TxnHeartBeatResponse,
};

use super::changes::Changes;
use super::failure::{Failure, Result};
use super::history::Outcome;
use super::records::Lock;
use super::rollback::{Protection, roll_back_lock, roll_back_missing};
use super::state::State;

/// Tells whether a transaction is committed, rolled back or going on, and rolls it back if its time is over.
pub(super) fn check_txn_status(state: &mut State, request: &CheckTxnStatusRequest) -> CheckTxnStatusResponse {
    // Once the caller knows the status it reads, so the transaction must not be committed below any of these.
    for timestamp in [request.lock_ts, request.caller_start_ts, request.current_ts] {
        state.note_read(timestamp);
    }
    let mut changes = Changes::default();
    match check(state, &mut changes, request) {
        Ok(response) => {
            state.apply(changes);
            response
        }
        Err(failure) => {
            CheckTxnStatusResponse { error: Some(failure.into_key_error()), ..CheckTxnStatusResponse::default() }
        }
    }
}

fn check(state: &State, changes: &mut Changes, request: &CheckTxnStatusRequest) -> Result<CheckTxnStatusResponse> {
    let key = &request.primary_key;
    let Some(lock) = state.lock_of(key, request.lock_ts) else {
        return check_missing(state, changes, request);
    };
    if request.verify_is_primary && lock.primary != *key {
        if !lock.is_pessimistic() || request.resolving_pessimistic_lock {
            return Err(Failure::PrimaryMismatch(Box::new(lock.info(key))));
        }
        // The transaction has chosen another primary since; the lock that the caller met is an old one.
        changes.delete_lock(key);
        return check_missing(state, changes, request);
    }
    if lock.use_async_commit && !request.force_sync_commit {
        // It may be committed without anything in this lock saying so: the secondaries decide.
        return Ok(uncommitted(key, lock, Action::NoAction));
    }
    if lock.is_expired(request.current_ts) {
        if request.resolving_pessimistic_lock && lock.is_pessimistic() {
            changes.delete_lock(key);
            return Ok(answer(Action::TtlExpirePessimisticRollback));
        }
        roll_back_lock(state, changes, key, lock, true);
        return Ok(answer(Action::TtlExpireRollback));
    }
    Ok(push(changes, request, lock))
}

/// Moves the lowest commit timestamp of a transaction beyond the caller's snapshot, so that its locks don't matter to
/// that.
fn push(changes: &mut Changes, request: &CheckTxnStatusRequest, lock: &Lock) -> CheckTxnStatusResponse {
    let caller = request.caller_start_ts;
    // Reads the latest: nothing to push, and the lock doesn't matter to it, being uncommitted.
    let reads_latest = caller == u64::MAX;
    let mut lock = lock.clone();
    // Zero means that the client doesn't know of pushed timestamps.
    if lock.min_commit_ts != 0 && !reads_latest && caller >= lock.min_commit_ts {
        lock.min_commit_ts = caller.saturating_add(1).max(request.current_ts);
        changes.put_lock(&request.primary_key, lock.clone());
    }
    let passed = reads_latest || (caller != 0 && lock.min_commit_ts > caller);
    let action = if passed { Action::MinCommitTsPushed } else { Action::NoAction };
    uncommitted(&request.primary_key, &lock, action)
}

fn check_missing(
    state: &State,
    changes: &mut Changes,
    request: &CheckTxnStatusRequest,
) -> Result<CheckTxnStatusResponse> {
    let (key, start_ts) = (&request.primary_key, request.lock_ts);
    let overlapped = match state.outcome(key, start_ts) {
        Outcome::Committed { commit_ts } => {
            return Ok(CheckTxnStatusResponse { commit_version: commit_ts, ..CheckTxnStatusResponse::default() });
        }
        Outcome::RolledBack => return Ok(answer(Action::NoAction)),
        Outcome::Unknown { overlapped } => overlapped,
    };
    if !request.rollback_if_not_exist {
        return Err(Failure::TransactionNotFound { start_ts, primary: key.clone() });
    }
    if request.resolving_pessimistic_lock {
        return Ok(answer(Action::LockNotExistDoNothing));
    }
    roll_back_missing(state, changes, key, start_ts, overlapped, Protection::Protected);
    Ok(answer(Action::LockNotExistRollback))
}

fn answer(action: Action) -> CheckTxnStatusResponse {
    CheckTxnStatusResponse { action: action.into(), ..CheckTxnStatusResponse::default() }
}

fn uncommitted(key: &[u8], lock: &Lock, action: Action) -> CheckTxnStatusResponse {
    CheckTxnStatusResponse { lock_ttl: lock.ttl, lock_info: Some(lock.info(key)), ..answer(action) }
}

/// Makes a primary's lock live longer, never shorter.
pub(super) fn txn_heart_beat(state: &mut State, request: &TxnHeartBeatRequest) -> TxnHeartBeatResponse {
    let (key, start_ts) = (&request.primary_lock, request.start_version);
    let Some(lock) = state.lock_of(key, start_ts) else {
        let failure = Failure::TransactionNotFound { start_ts, primary: key.clone() };
        return TxnHeartBeatResponse { error: Some(failure.into_key_error()), ..TxnHeartBeatResponse::default() };
    };
    let lock_ttl = lock.ttl.max(request.advise_lock_ttl);
    let mut changes = Changes::default();
    changes.put_lock(key, Lock { ttl: lock_ttl, ..lock.clone() });
    state.apply(changes);
    TxnHeartBeatResponse { lock_ttl, ..TxnHeartBeatResponse::default() }
}
