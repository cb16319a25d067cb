//! Taking pessimistic locks on keys that nobody else has locked.

use crate::proto::kvrpcpb::{Assertion, Mutation, Op, PessimisticLockRequest, write_conflict::Reason};

use super::changes::Changes;
use super::failure::{Conflict, Failure, Result};
use super::history::History;
use super::records::{Lock, LockKind};
use super::state::State;

/// A key that was locked, and what the request wanted to know of it.
#[derive(Debug)]
pub(super) struct Acquired {
    /// The value at that time; empty if only its existence was asked for, `None` if the key does not exist or nothing
    /// was asked for.
    pub(super) value: Option<Vec<u8>>,
    /// Not zero: the key was locked although it was written to at this timestamp, after the request's.
    pub(super) conflict_ts: u64,
}

/// Locks all keys of a request or none. With `force`, a newer version does not stand in the way.
pub(super) fn acquire(state: &mut State, request: &PessimisticLockRequest, force: bool) -> Result<Vec<Acquired>> {
    if force && request.mutations.len() > 1 {
        return Err(Failure::Invalid("more than one key with WakeUpModeForceLock".to_owned()));
    }
    let mut changes = Changes::default();
    let acquired: Result<Vec<Acquired>> =
        request.mutations.iter().map(|mutation| acquire_key(state, &mut changes, request, mutation, force)).collect();
    if acquired.is_ok() {
        state.apply(changes);
    }
    acquired
}

fn acquire_key(
    state: &mut State,
    changes: &mut Changes,
    request: &PessimisticLockRequest,
    mutation: &Mutation,
    force: bool,
) -> Result<Acquired> {
    let (key, start_ts) = (&mutation.key, request.start_version);
    if mutation.op != Op::PessimisticLock as i32 {
        return Err(Failure::Invalid(format!("mismatched op {} in pessimistic lock mutations", mutation.op)));
    }
    if request.lock_only_if_exists && !request.return_values {
        return Err(Failure::Invalid("LockIfExistsFailed: lock_only_if_exists without return_values".to_owned()));
    }
    let must_not_exist = mutation.assertion == Assertion::NotExist as i32;
    if must_not_exist || request.return_values || request.check_existence {
        state.note_read(request.for_update_ts);
    }
    let history = state.history(key);
    if let Some(lock) = state.lock(key) {
        let held = held(request, mutation, lock, force)?;
        if request.for_update_ts > lock.for_update_ts {
            changes.put_lock(key, pessimistic_lock(request, request.for_update_ts));
        }
        let read_ts = held.max(request.for_update_ts);
        return Ok(Acquired { value: asked_value(request, history, read_ts, held != 0), conflict_ts: held });
    }
    let conflict_ts = check_versions(request, mutation, history, force)?;
    if must_not_exist && conflict_ts == 0 && history.version_at(u64::MAX).is_some() {
        return Err(Failure::AlreadyExists { key: key.clone() });
    }
    if history.at_or_before(start_ts).next().is_some_and(|(at, write)| write.rolls_back(at, start_ts)) {
        return Err(Failure::PessimisticLockRolledBack { start_ts, key: key.clone() });
    }
    let value = asked_value(request, history, u64::MAX, conflict_ts != 0);
    if !request.lock_only_if_exists || value.is_some() {
        changes.put_lock(key, pessimistic_lock(request, request.for_update_ts.max(conflict_ts)));
    }
    Ok(Acquired { value, conflict_ts })
}

/// Checks a lock that is there: only the transaction's own pessimistic one will do. Returns the timestamp for which it
/// was taken if that is newer than the request's, else zero.
fn held(request: &PessimisticLockRequest, mutation: &Mutation, lock: &Lock, force: bool) -> Result<u64> {
    if lock.start_ts != request.start_version {
        return Err(Failure::Locked(Box::new(lock.info(&mutation.key))));
    }
    if !lock.is_pessimistic() {
        let (start_ts, key) = (request.start_version, mutation.key.clone());
        return Err(Failure::LockTypeNotMatch { start_ts, key, pessimistic: false });
    }
    Ok(if force && request.for_update_ts < lock.for_update_ts { lock.for_update_ts } else { 0 })
}

/// Nobody may have written after the timestamp that the transaction has read at; with `force` such a timestamp is
/// returned, otherwise zero.
fn check_versions(
    request: &PessimisticLockRequest,
    mutation: &Mutation,
    history: &History,
    force: bool,
) -> Result<u64> {
    match history.newest_first().next() {
        Some((at, _)) if at > request.for_update_ts && force => Ok(at),
        Some((at, write)) if at > request.for_update_ts => Err(Failure::WriteConflict(Box::new(Conflict {
            start_ts: request.start_version,
            conflict_start_ts: write.start_ts,
            conflict_commit_ts: at,
            key: mutation.key.clone(),
            primary: request.primary_lock.clone(),
            reason: Reason::PessimisticRetry,
        }))),
        _ => Ok(0),
    }
}

fn asked_value(request: &PessimisticLockRequest, history: &History, read_ts: u64, always: bool) -> Option<Vec<u8>> {
    let (_, write) = history.version_at(read_ts)?;
    if request.return_values || always {
        Some(history.value_of(write).to_vec())
    } else {
        request.check_existence.then(Vec::new)
    }
}

fn pessimistic_lock(request: &PessimisticLockRequest, for_update_ts: u64) -> Lock {
    Lock {
        kind: LockKind::Pessimistic,
        primary: request.primary_lock.clone(),
        start_ts: request.start_version,
        ttl: request.lock_ttl,
        short_value: None,
        for_update_ts,
        txn_size: 0,
        min_commit_ts: request.min_commit_ts,
        use_async_commit: false,
        secondaries: Vec::new(),
        rollbacks: Vec::new(),
    }
}
