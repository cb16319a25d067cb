//! Prewrite: every key of a transaction gets its lock and its new value, or none does.

use crate::proto::kvrpcpb::{Mutation, Op, PrewriteRequest, PrewriteResponse, prewrite_request::PessimisticAction};

use super::changes::Changes;
use super::constraint::Constraint;
use super::failure::{Failure, Result};
use super::history::Outcome;
use super::records::{Lock, LockKind, is_short};
use super::state::State;

/// Prewrites all keys of the request or none.
pub(super) fn prewrite(state: &mut State, request: &PrewriteRequest) -> PrewriteResponse {
    let mut prewrite = Prewrite::new(request);
    match prewrite.run(state) {
        Ok(()) => prewrite.finish(state),
        Err(failures) => {
            let errors = failures.into_iter().map(Failure::into_key_error).collect();
            PrewriteResponse { errors, ..PrewriteResponse::default() }
        }
    }
}

struct Prewrite<'a> {
    request: &'a PrewriteRequest,
    async_commit: bool,
    one_phase: bool,
    /// The lowest timestamp at which the keys so far may be committed, if that is calculated here.
    min_commit_ts: u64,
    prepared: Vec<Prepared<'a>>,
}

/// A lock to be written, with its value if that is a long one.
struct Prepared<'a> {
    key: &'a [u8],
    lock: Lock,
    long_value: Option<&'a [u8]>,
}

/// What the prewrite of one key came to.
enum Step {
    /// All is well; with the lowest commit timestamp that the key allows if that is calculated here, else zero.
    Done { min_commit_ts: u64 },
    /// The transaction has been committed already: the request is a repeated one.
    Committed { commit_ts: u64 },
}

impl<'a> Prewrite<'a> {
    fn new(request: &'a PrewriteRequest) -> Self {
        Self {
            request,
            async_commit: request.use_async_commit,
            one_phase: request.try_one_pc,
            min_commit_ts: 0,
            prepared: Vec::with_capacity(request.mutations.len()),
        }
    }

    /// Prepares every key. Of locked keys all are told, of other failures the first.
    fn run(&mut self, state: &mut State) -> std::result::Result<(), Vec<Failure>> {
        let mut locked = Vec::new();
        let mut assertion = None;
        for (index, mutation) in self.request.mutations.iter().enumerate() {
            match self.key(state, index, mutation) {
                Ok(Step::Done { min_commit_ts }) if self.calculates_timestamp() && min_commit_ts == 0 => {
                    self.fall_back();
                }
                Ok(Step::Done { min_commit_ts }) => self.min_commit_ts = self.min_commit_ts.max(min_commit_ts),
                Ok(Step::Committed { commit_ts }) => {
                    self.prepared.clear();
                    self.min_commit_ts = commit_ts;
                    return Ok(());
                }
                Err(failure @ Failure::Locked(_)) => locked.push(failure),
                Err(failure @ Failure::AssertionFailed { .. }) => assertion = assertion.or(Some(failure)),
                Err(failure) => return Err(vec![failure]),
            }
        }
        match assertion {
            Some(failure) => Err(vec![failure]),
            None if locked.is_empty() => Ok(()),
            None => Err(locked),
        }
    }

    fn finish(self, state: &mut State) -> PrewriteResponse {
        let request = self.request;
        let mut changes = Changes::default();
        for prepared in self.prepared {
            let Prepared { key, lock, long_value } = prepared;
            if let Some(value) = long_value {
                changes.put_value(key, request.start_version, value.to_vec());
            }
            if self.one_phase {
                // The lock is never written; a pessimistic one in its place goes.
                changes.commit_lock(key, &lock, self.min_commit_ts);
            } else {
                changes.put_lock(key, lock);
            }
        }
        state.apply(changes);
        PrewriteResponse {
            min_commit_ts: if self.async_commit { self.min_commit_ts } else { 0 },
            one_pc_commit_ts: if self.one_phase { self.min_commit_ts } else { 0 },
            ..PrewriteResponse::default()
        }
    }

    fn calculates_timestamp(&self) -> bool {
        self.async_commit || self.one_phase
    }

    /// Goes on as for a commit in two phases, the locks of one phase included; the client sees it by the zeros in the
    /// response. A lock that has async commit already keeps it, as in TiKV.
    fn fall_back(&mut self) {
        self.async_commit = false;
        self.one_phase = false;
        self.min_commit_ts = 0;
    }

    fn key(&mut self, state: &mut State, index: usize, mutation: &'a Mutation) -> Result<Step> {
        let result = self.prepare(state, index, mutation);
        // A repeated request, after the transaction was committed, finds its own commit in its way, or others after it.
        let may_be_repeated = match &result {
            Err(Failure::WriteConflict(conflict)) => conflict.conflict_commit_ts > self.request.start_version,
            Err(Failure::PessimisticLockNotFound { .. } | Failure::Locked(_)) => true,
            _ => false,
        };
        if may_be_repeated && let Some(commit_ts) = self.committed_at(state, &mutation.key) {
            return Ok(Step::Committed { commit_ts });
        }
        result
    }

    fn committed_at(&self, state: &State, key: &[u8]) -> Option<u64> {
        match state.outcome(key, self.request.start_version) {
            Outcome::Committed { commit_ts } => Some(commit_ts),
            Outcome::RolledBack | Outcome::Unknown { .. } => None,
        }
    }

    fn prepare(&mut self, state: &mut State, index: usize, mutation: &'a Mutation) -> Result<Step> {
        let request = self.request;
        let pessimistic = request.for_update_ts != 0;
        let (kind, must_not_exist) = wanted(mutation, pessimistic)?;
        let action = action(request, index);
        let expects_lock = pessimistic && action == PessimisticAction::DoPessimisticCheck;
        let constraint = Constraint { request, mutation, action, must_not_exist };

        let mut ttl = request.lock_ttl;
        let mut min_commit_ts = request.min_commit_ts;
        match state.lock(&mutation.key) {
            Some(lock) if lock.start_ts == request.start_version => {
                if !lock.is_pessimistic() {
                    let min_commit_ts = if lock.use_async_commit { lock.min_commit_ts } else { 0 };
                    return Ok(Step::Done { min_commit_ts });
                }
                if !pessimistic {
                    let (start_ts, key) = (request.start_version, mutation.key.clone());
                    return Err(Failure::LockTypeNotMatch { start_ts, key, pessimistic: true });
                }
                // A heartbeat or a reader may have raised them.
                ttl = ttl.max(lock.ttl);
                min_commit_ts = min_commit_ts.max(lock.min_commit_ts);
            }
            Some(_) if expects_lock => return Err(constraint.lock_not_found()),
            Some(lock) => {
                let mut info = lock.info(&mutation.key);
                if pessimistic && action == PessimisticAction::SkipPessimisticCheck {
                    // The row's key, which goes with this one, is locked by us: this lock is a leftover.
                    info.lock_ttl = 0;
                }
                return Err(Failure::Locked(Box::new(info)));
            }
            None if expects_lock => constraint.check_unlocked(state.history(&mutation.key))?,
            None => {}
        }
        if pessimistic
            && action == PessimisticAction::SkipPessimisticCheck
            && let Some(commit_ts) = self.committed_at(state, &mutation.key)
        {
            return Ok(Step::Committed { commit_ts });
        }
        constraint.check(state.history(&mutation.key))?;

        let Some(kind) = kind else {
            // Nothing is written: it counts as a read.
            state.note_read(request.start_version);
            let lowest = request.min_commit_ts.max(request.start_version.saturating_add(1));
            return Ok(Step::Done { min_commit_ts: if self.calculates_timestamp() { lowest } else { 0 } });
        };
        let mut lock = self.lock(kind, mutation, ttl, min_commit_ts);
        let calculated = self.calculate_timestamp(state, &mut lock);
        if calculated == Some(0)
            && let Some(commit_ts) = self.committed_at(state, &mutation.key)
        {
            return Ok(Step::Committed { commit_ts });
        }
        let long_value = (kind == LockKind::Put && lock.short_value.is_none()).then_some(mutation.value.as_slice());
        self.prepared.push(Prepared { key: &mutation.key, lock, long_value });
        Ok(Step::Done { min_commit_ts: calculated.unwrap_or(0) })
    }

    fn lock(&self, kind: LockKind, mutation: &Mutation, ttl: u64, min_commit_ts: u64) -> Lock {
        let request = self.request;
        let inlined = kind == LockKind::Put && is_short(&mutation.value);
        let lists_secondaries = self.async_commit && mutation.key == request.primary_lock;
        Lock {
            kind,
            primary: request.primary_lock.clone(),
            start_ts: request.start_version,
            ttl,
            short_value: inlined.then(|| mutation.value.clone()),
            for_update_ts: request.for_update_ts,
            txn_size: request.txn_size,
            min_commit_ts,
            use_async_commit: self.async_commit,
            secondaries: if lists_secondaries { request.secondaries.clone() } else { Vec::new() },
            rollbacks: Vec::new(),
        }
    }

    /// Sets the lowest timestamp at which a lock may be committed, above everything that was read, and returns it; or
    /// zero if that is beyond what the client allows, and the lock is one for two phases then.
    fn calculate_timestamp(&self, state: &State, lock: &mut Lock) -> Option<u64> {
        if !self.calculates_timestamp() {
            return None;
        }
        let above = state.max_ts().max(lock.start_ts).max(lock.for_update_ts);
        let lowest = above.saturating_add(1).max(lock.min_commit_ts);
        if self.request.max_commit_ts != 0 && lowest > self.request.max_commit_ts {
            lock.use_async_commit = false;
            lock.secondaries = Vec::new();
            return Some(0);
        }
        lock.min_commit_ts = lowest;
        Some(lowest)
    }
}

/// The lock that a mutation takes, if any, and whether the key must not exist.
fn wanted(mutation: &Mutation, pessimistic: bool) -> Result<(Option<LockKind>, bool)> {
    match Op::try_from(mutation.op) {
        Ok(Op::Put) => Ok((Some(LockKind::Put), false)),
        Ok(Op::Insert) => Ok((Some(LockKind::Put), true)),
        Ok(Op::Del) => Ok((Some(LockKind::Delete), false)),
        Ok(Op::Lock) => Ok((Some(LockKind::Lock), false)),
        Ok(Op::CheckNotExists) if pessimistic => {
            Err(Failure::Invalid("cannot handle checkNotExists in pessimistic prewrite".to_owned()))
        }
        Ok(Op::CheckNotExists) => Ok((None, true)),
        Ok(Op::Rollback | Op::PessimisticLock) | Err(_) => {
            Err(Failure::Invalid(format!("mismatched op {} in prewrite mutations", mutation.op)))
        }
    }
}

fn action(request: &PrewriteRequest, index: usize) -> PessimisticAction {
    let action = request.pessimistic_actions.get(index).copied().unwrap_or_default();
    PessimisticAction::try_from(action).unwrap_or(PessimisticAction::SkipPessimisticCheck)
}
