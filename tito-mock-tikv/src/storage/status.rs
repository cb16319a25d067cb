//! What others can learn, and decide, about a transaction through its primary key
//! (`src/storage/txn/actions/check_txn_status.rs`).

use tito_tikv_proto::kvrpcpb::{
    Action, CheckTxnStatusRequest, CheckTxnStatusResponse, TxnHeartBeatRequest, TxnHeartBeatResponse,
};

use super::changes::Changes;
use super::failure::{Failure, Result};
use super::history::Outcome;
use super::records::Lock;
use super::rollback::{Protection, roll_back_lock, roll_back_missing};
use super::scope::Scope;
use super::state::State;

/// Reports whether a transaction is committed, rolled back or in progress, and rolls it back if it has expired.
pub(super) fn check_txn_status(
    state: &mut State,
    scope: Scope<'_>,
    request: &CheckTxnStatusRequest,
) -> CheckTxnStatusResponse {
    // Once the caller knows the status, it reads, so the transaction must not be committed below any of these.
    for timestamp in [request.lock_ts, request.caller_start_ts, request.current_ts] {
        state.note_read(scope.store, timestamp);
    }
    let mut changes = Changes::default();
    match check(state, scope, &mut changes, request) {
        Ok(response) => {
            state.apply(changes);
            if response.commit_version != 0 {
                state.note_commit(scope.store, request.lock_ts, response.commit_version);
            }
            response
        }
        Err(failure) => {
            CheckTxnStatusResponse { error: Some(failure.into_key_error()), ..CheckTxnStatusResponse::default() }
        }
    }
}

fn check(
    state: &State,
    scope: Scope<'_>,
    changes: &mut Changes,
    request: &CheckTxnStatusRequest,
) -> Result<CheckTxnStatusResponse> {
    let key = &request.primary_key;
    let Some(lock) = state.lock_of(key, request.lock_ts) else {
        return check_missing(state, changes, request, state.lock(key));
    };
    if request.verify_is_primary && lock.primary != *key {
        if !lock.is_pessimistic() || request.resolving_pessimistic_lock {
            return Err(Failure::PrimaryMismatch(Box::new(lock.info(key))));
        }
        // The transaction has chosen another primary since; the lock that the caller met is an old one.
        let response = check_missing(state, changes, request, None)?;
        changes.delete_lock(key);
        return Ok(response);
    }
    if lock.use_async_commit && !request.force_sync_commit {
        // It may be committed without a sign of it in this lock: the secondaries decide.
        return Ok(uncommitted(lock, Action::NoAction));
    }
    if lock.is_pessimistic()
        && lock.locked_with_conflict
        && let Some(response) = determined(state, request)
    {
        // A late request forced this lock after the transaction had ended.
        changes.delete_lock(key);
        return Ok(response);
    }
    if lock.is_expired(request.current_ts) {
        if request.resolving_pessimistic_lock && lock.is_pessimistic() {
            changes.delete_lock(key);
            return Ok(answer(Action::TtlExpirePessimisticRollback));
        }
        roll_back_lock(state, scope, changes, key, lock, true)?;
        return Ok(answer(Action::TtlExpireRollback));
    }
    Ok(push(changes, request, lock))
}

/// Moves a transaction's lowest commit timestamp beyond the caller's snapshot, so that its locks don't matter to that.
fn push(changes: &mut Changes, request: &CheckTxnStatusRequest, lock: &Lock) -> CheckTxnStatusResponse {
    let caller = request.caller_start_ts;
    // The caller reads the latest version: nothing to push, and the lock doesn't matter, since it is uncommitted.
    let reads_latest = caller == u64::MAX;
    let mut lock = lock.clone();
    // Zero means that the client knows nothing of pushed timestamps.
    if lock.min_commit_ts != 0 && !reads_latest && caller >= lock.min_commit_ts {
        lock.min_commit_ts = caller.saturating_add(1).max(request.current_ts);
        changes.put_lock(&request.primary_key, lock.clone());
    }
    let passed = reads_latest || (caller != 0 && lock.min_commit_ts > caller);
    let action = if passed { Action::MinCommitTsPushed } else { Action::NoAction };
    uncommitted(&lock, action)
}

/// What the write records say, if they say anything.
fn determined(state: &State, request: &CheckTxnStatusRequest) -> Option<CheckTxnStatusResponse> {
    match state.outcome(&request.primary_key, request.lock_ts) {
        Outcome::Committed { commit_ts } => {
            Some(CheckTxnStatusResponse { commit_version: commit_ts, ..CheckTxnStatusResponse::default() })
        }
        Outcome::RolledBack => Some(answer(Action::NoAction)),
        Outcome::Unknown { .. } => None,
    }
}

/// The transaction has no lock on the key, but another one may have.
fn check_missing(
    state: &State,
    changes: &mut Changes,
    request: &CheckTxnStatusRequest,
    other: Option<&Lock>,
) -> Result<CheckTxnStatusResponse> {
    if let Some(response) = determined(state, request) {
        return Ok(response);
    }
    let (key, start_ts) = (&request.primary_key, request.lock_ts);
    if !request.rollback_if_not_exist {
        return Err(Failure::TransactionNotFound { start_ts, primary: key.clone() });
    }
    if request.resolving_pessimistic_lock {
        return Ok(answer(Action::LockNotExistDoNothing));
    }
    let overlapped = state.outcome(key, start_ts).overlapped();
    roll_back_missing(state, changes, key, start_ts, other, overlapped, Protection::Protected);
    Ok(answer(Action::LockNotExistRollback))
}

fn answer(action: Action) -> CheckTxnStatusResponse {
    CheckTxnStatusResponse { action: action.into(), ..CheckTxnStatusResponse::default() }
}

/// Reports the lock under the key that it names as the primary, whichever was asked for.
fn uncommitted(lock: &Lock, action: Action) -> CheckTxnStatusResponse {
    CheckTxnStatusResponse { lock_ttl: lock.ttl, lock_info: Some(lock.info(&lock.primary)), ..answer(action) }
}

/// Makes a primary's lock live longer, never shorter (`src/storage/txn/commands/txn_heart_beat.rs`). For a transaction
/// that is flushed piece by piece (since 8.0), it also raises the lowest commit timestamp.
pub(super) fn txn_heart_beat(state: &mut State, request: &TxnHeartBeatRequest) -> TxnHeartBeatResponse {
    let (key, start_ts) = (&request.primary_lock, request.start_version);
    let Some(lock) = state.lock_of(key, start_ts) else {
        let failure = Failure::TransactionNotFound { start_ts, primary: key.clone() };
        return TxnHeartBeatResponse { error: Some(failure.into_key_error()), ..TxnHeartBeatResponse::default() };
    };
    let mut beaten = lock.clone();
    beaten.ttl = lock.ttl.max(request.advise_lock_ttl);
    if !lock.use_async_commit && lock.generation > 0 {
        beaten.min_commit_ts = lock.min_commit_ts.max(request.min_commit_ts);
    }
    let lock_ttl = beaten.ttl;
    if beaten != *lock {
        // It is replicated from now on.
        beaten.in_memory = false;
        let mut changes = Changes::default();
        changes.put_lock(key, beaten);
        state.apply(changes);
    }
    TxnHeartBeatResponse { lock_ttl, ..TxnHeartBeatResponse::default() }
}
