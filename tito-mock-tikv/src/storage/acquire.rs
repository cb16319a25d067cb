//! Taking pessimistic locks on keys that nobody else has locked
//! (`src/storage/txn/actions/acquire_pessimistic_lock.rs`).

use tito_tikv_proto::kvrpcpb::{Assertion, Mutation, Op, PessimisticLockRequest, write_conflict::Reason};

use super::changes::Changes;
use super::constraint::check_data;
use super::failure::{Conflict, Failure, Result};
use super::history::History;
use super::records::{Lock, LockKind, Write, WriteKind};
use super::scope::Scope;
use super::state::State;

/// A locked key, and what the request wanted to know about it.
#[derive(Debug)]
pub(super) struct Acquired {
    /// The value at that time. It is empty if the request only asked for its existence, and `None` if the key does not
    /// exist or the request asked for nothing.
    pub(super) value: Option<Vec<u8>>,
    /// If not zero, the key was locked although it was written at this timestamp, after the request's.
    pub(super) conflict_ts: u64,
}

/// Locks all keys of a request or none. With `force`, a newer version does not prevent it.
pub(super) fn acquire(
    state: &mut State,
    scope: Scope<'_>,
    request: &PessimisticLockRequest,
    force: bool,
) -> Result<Vec<Acquired>> {
    if force && request.mutations.len() > 1 {
        let text = "multiple keys in a single request with allowed_lock_with_conflict set is not allowed";
        return Err(Failure::Invalid(text.to_owned()));
    }
    let mut changes = Changes::default();
    let acquired: Result<Vec<Acquired>> = request
        .mutations
        .iter()
        .map(|mutation| {
            let must_not_exist = mutation.assertion == Assertion::NotExist as i32;
            KeyLock { scope, request, mutation, must_not_exist, force }.acquire(state, &mut changes)
        })
        .collect();
    if acquired.is_ok() {
        state.apply(changes);
    }
    acquired
}

struct KeyLock<'a> {
    scope: Scope<'a>,
    request: &'a PessimisticLockRequest,
    mutation: &'a Mutation,
    must_not_exist: bool,
    force: bool,
}

impl KeyLock<'_> {
    fn acquire(&self, state: &mut State, changes: &mut Changes) -> Result<Acquired> {
        let (request, key) = (self.request, &self.mutation.key);
        if self.mutation.op != Op::PessimisticLock as i32 {
            // TiKV aborts at such a request; shared locks (since 9.0) are not implemented.
            return Err(Failure::Invalid(format!("mismatched op {} in pessimistic lock mutations", self.mutation.op)));
        }
        if request.lock_only_if_exists && !request.return_values {
            return Err(Failure::LockIfExistsFailed { start_ts: request.start_version, key: key.clone() });
        }
        // Each of these reads the key.
        if self.must_not_exist || request.return_values || request.check_existence {
            state.note_read(self.scope.store, request.for_update_ts);
        }
        match state.lock(key) {
            Some(lock) => self.acquire_again(lock, state.history(key), changes),
            None => self.acquire_new(state.history(key), changes),
        }
    }

    /// Locks a key that is already locked. Only the transaction's own pessimistic lock allows this.
    fn acquire_again(&self, lock: &Lock, history: &History, changes: &mut Changes) -> Result<Acquired> {
        let (request, key) = (self.request, &self.mutation.key);
        if lock.start_ts != request.start_version {
            return Err(Failure::Locked(Box::new(lock.info(key))));
        }
        if !lock.is_pessimistic() {
            let start_ts = request.start_version;
            return Err(Failure::LockTypeNotMatch { start_ts, key: key.clone(), pessimistic: false });
        }
        // Either the lock was taken in spite of a conflict and the answer got lost, so repeat it; or the request is an
        // old one whose answer doesn't matter.
        let conflict_ts = if self.force && request.for_update_ts < lock.for_update_ts { lock.for_update_ts } else { 0 };
        let for_update_ts = request.for_update_ts.max(conflict_ts);
        let loads = request.return_values || conflict_ts != 0;
        let mut value = None;
        if (loads || request.check_existence || self.must_not_exist)
            && let Some((at, write)) = history.version_at(for_update_ts, request.start_version)
        {
            check_data(history, self.must_not_exist, at, write, request.start_version, key)
                .map_err(|failure| if at > request.for_update_ts { self.conflict(at, write) } else { failure })?;
            if loads {
                value = Some(history.value_of(write).to_vec());
            } else if request.check_existence {
                value = Some(Vec::new());
            }
        }
        if for_update_ts > lock.for_update_ts {
            changes.put_lock(key, self.lock(for_update_ts, lock.locked_with_conflict));
        }
        Ok(Acquired { value, conflict_ts })
    }

    fn acquire_new(&self, history: &History, changes: &mut Changes) -> Result<Acquired> {
        let (request, key) = (self.request, &self.mutation.key);
        let start_ts = request.start_version;
        let newest = history.newest();
        let conflict = newest.filter(|(at, _)| *at > request.for_update_ts);
        if !self.force
            && let Some((at, write)) = conflict
        {
            return Err(self.conflict(at, write));
        }
        if history.at_or_before(start_ts).next().is_some_and(|(at, write)| write.rolls_back(at, start_ts)) {
            return Err(Failure::PessimisticLockRolledBack { start_ts, key: key.clone() });
        }
        let conflict_failure = || conflict.map(|(at, write)| self.conflict(at, write));
        let mut value = None;
        if let Some((at, write)) = newest {
            // After a conflict, the client should retry rather than believe that the key exists.
            check_data(history, self.must_not_exist, at, write, start_ts, key)
                .map_err(|failure| conflict_failure().unwrap_or(failure))?;
            if request.return_values || request.check_existence || conflict.is_some() {
                value = self.value(history, at, write, conflict.is_some());
            }
        }
        let conflict_ts = conflict.map_or(0, |(at, _)| at);
        if !request.lock_only_if_exists || value.is_some() {
            changes.put_lock(key, self.lock(request.for_update_ts.max(conflict_ts), conflict.is_some()));
        } else if let Some(failure) = conflict_failure() {
            return Err(failure);
        }
        Ok(Acquired { value, conflict_ts })
    }

    /// The value of the key, given its newest record.
    fn value(&self, history: &History, at: u64, write: &Write, always: bool) -> Option<Vec<u8>> {
        let start_ts = self.request.start_version;
        let version = match write.kind {
            WriteKind::Put => Some(write).filter(|write| write.is_valid_at(start_ts)),
            WriteKind::Delete => None,
            WriteKind::Lock | WriteKind::Rollback => {
                history.version_at(at.saturating_sub(1), start_ts).map(|(_, write)| write)
            }
        };
        let loads = self.request.return_values || always;
        version.map(|write| if loads { history.value_of(write).to_vec() } else { Vec::new() })
    }

    fn conflict(&self, at: u64, write: &Write) -> Failure {
        Failure::WriteConflict(Box::new(Conflict {
            start_ts: self.request.start_version,
            conflict_start_ts: write.start_ts,
            conflict_commit_ts: at,
            key: self.mutation.key.clone(),
            primary: self.request.primary_lock.clone(),
            reason: Reason::PessimisticRetry,
        }))
    }

    fn lock(&self, for_update_ts: u64, locked_with_conflict: bool) -> Lock {
        Lock {
            kind: LockKind::Pessimistic,
            primary: self.request.primary_lock.clone(),
            start_ts: self.request.start_version,
            ttl: self.request.lock_ttl,
            short_value: None,
            for_update_ts,
            txn_size: 0,
            min_commit_ts: self.request.min_commit_ts,
            use_async_commit: false,
            secondaries: Vec::new(),
            rollbacks: Vec::new(),
            locked_with_conflict,
            generation: 0,
            in_memory: self.scope.in_memory_locks,
        }
    }
}
