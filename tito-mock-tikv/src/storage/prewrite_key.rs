//! The prewrite of one key (`src/storage/txn/actions/prewrite.rs`).

use tito_tikv_proto::kvrpcpb::{Mutation, Op, PrewriteRequest, prewrite_request::PessimisticAction};

use super::constraint::Constraint;
use super::failure::{Failure, NotFoundReason, Result};
use super::prewrite::Planned;
use super::records::{Lock, LockKind, is_short};
use super::scope::Scope;
use super::state::State;

/// What all keys of a prewrite have in common.
pub(super) struct Properties<'a> {
    pub(super) request: &'a PrewriteRequest,
    pub(super) skip_constraint_check: bool,
    pub(super) is_retry: bool,
    /// Whether the commit timestamp is calculated here, for async commit or one phase.
    pub(super) calculates_timestamp: bool,
    pub(super) one_phase: bool,
}

impl Properties<'_> {
    pub(super) fn is_pessimistic(&self) -> bool {
        self.request.for_update_ts != 0
    }
}

/// The result of a key's prewrite.
pub(super) enum Step<'a> {
    /// Nothing to write; with the key's lowest commit timestamp if that is calculated, else zero.
    Nothing { min_commit_ts: u64 },
    /// A lock to write, and the value if it is a long one. The `result` is the same as for `Nothing`, or says that the
    /// calculated timestamp exceeds what the client allows; then the lock is for two phases.
    Write { lock: Box<Lock>, long_value: Option<&'a [u8]>, had_pessimistic_lock: bool, result: Result<u64> },
}

/// What the transaction already has on the key.
enum OwnLock {
    Nothing,
    Pessimistic {
        for_update_ts: u64,
    },
    /// It is prewritten; with the lowest commit timestamp if it has async commit, else zero.
    Prewritten {
        min_commit_ts: u64,
    },
}

pub(super) struct KeyPrewrite<'p, 'a> {
    scope: Scope<'a>,
    properties: &'p Properties<'a>,
    planned: Planned<'a>,
    /// The lock to take; `None` only checks that the key does not exist.
    kind: Option<LockKind>,
    must_not_exist: bool,
    generation: u64,
    ttl: u64,
    min_commit_ts: u64,
}

impl<'p, 'a> KeyPrewrite<'p, 'a> {
    /// `generation` is the number of the flush, or zero.
    pub(super) fn new(
        scope: Scope<'a>,
        properties: &'p Properties<'a>,
        planned: Planned<'a>,
        generation: u64,
    ) -> Result<Self> {
        let (kind, must_not_exist) = wanted(planned.mutation)?;
        if kind.is_none() && properties.is_pessimistic() {
            return Err(Failure::Invalid("cannot handle checkNotExists in pessimistic prewrite".to_owned()));
        }
        let (ttl, min_commit_ts) = (properties.request.lock_ttl, properties.request.min_commit_ts);
        Ok(KeyPrewrite { scope, properties, planned, kind, must_not_exist, generation, ttl, min_commit_ts })
    }

    pub(super) fn run(mut self, state: &mut State, secondaries: Option<&[Vec<u8>]>) -> Result<Step<'a>> {
        let request = self.properties.request;
        let (start_ts, key) = (request.start_version, &self.planned.mutation.key);
        if self.must_not_exist {
            state.note_read(self.scope.store, start_ts);
        }
        let constraint = self.constraint();
        let mut amended = false;
        let held = match state.lock(key) {
            Some(lock) => self.check_lock(lock)?,
            None if self.planned.action == PessimisticAction::DoPessimisticCheck => {
                constraint.amend(state.history(key))?;
                amended = true;
                OwnLock::Nothing
            }
            None => OwnLock::Nothing,
        };
        let mut is_later_flush = false;
        if let OwnLock::Prewritten { min_commit_ts } = held {
            // A flush rewrites its key.
            if self.generation == 0 {
                return Ok(Step::Nothing { min_commit_ts });
            }
            is_later_flush = true;
        }
        let history = state.history(key);
        let skips = constraint.is_skipped();
        let found = if skips { None } else { Some(constraint.check_newer(history)?) };
        if !amended && !is_later_flush {
            constraint.check_assertion(history, found)?;
        }
        let Some(kind) = self.kind else {
            state.note_read(self.scope.store, start_ts);
            let lowest = request.min_commit_ts.max(start_ts.saturating_add(1));
            return Ok(Step::Nothing { min_commit_ts: if self.properties.calculates_timestamp { lowest } else { 0 } });
        };
        Ok(self.write(state, kind, &held, secondaries))
    }

    fn constraint(&self) -> Constraint<'p, 'a> {
        Constraint {
            properties: self.properties,
            mutation: self.planned.mutation,
            action: self.planned.action,
            must_not_exist: self.must_not_exist,
        }
    }

    fn check_lock(&mut self, lock: &Lock) -> Result<OwnLock> {
        let request = self.properties.request;
        let (start_ts, key) = (request.start_version, &self.planned.mutation.key);
        if lock.start_ts != start_ts {
            if self.planned.action == PessimisticAction::DoPessimisticCheck {
                return Err(self.constraint().lock_not_found(NotFoundReason::LockTsMismatch));
            }
            let mut info = lock.info(key);
            if self.properties.is_pessimistic() {
                // We locked the row's key, which belongs with this one: this lock is a leftover.
                info.lock_ttl = 0;
            }
            return Err(Failure::Locked(Box::new(info)));
        }
        if lock.is_pessimistic() {
            if !self.properties.is_pessimistic() {
                return Err(Failure::LockTypeNotMatch { start_ts, key: key.clone(), pessimistic: true });
            }
            if self.planned.expected_for_update_ts.is_some_and(|expected| expected != lock.for_update_ts) {
                return Err(self.constraint().lock_not_found(NotFoundReason::LockForUpdateTsMismatch));
            }
            // A heartbeat or a reader may have raised them.
            self.ttl = self.ttl.max(lock.ttl);
            self.min_commit_ts = self.min_commit_ts.max(lock.min_commit_ts);
            return Ok(OwnLock::Pessimistic { for_update_ts: lock.for_update_ts });
        }
        if self.generation > 0 && lock.generation >= self.generation {
            let (generation, of_lock) = (self.generation, lock.generation);
            return Err(Failure::GenerationOutOfOrder { key: key.clone(), generation, of_lock });
        }
        if lock.generation > 0 && self.must_not_exist && lock.kind == LockKind::Put {
            return Err(Failure::AlreadyExists { key: key.clone() });
        }
        let min_commit_ts = if lock.use_async_commit { lock.min_commit_ts } else { 0 };
        Ok(OwnLock::Prewritten { min_commit_ts })
    }

    fn write(self, state: &State, kind: LockKind, held: &OwnLock, secondaries: Option<&[Vec<u8>]>) -> Step<'a> {
        let request = self.properties.request;
        let mutation = self.planned.mutation;
        let inlined = kind == LockKind::Put && is_short(&mutation.value);
        let had_for_update_ts = match held {
            OwnLock::Pessimistic { for_update_ts } => *for_update_ts,
            OwnLock::Nothing | OwnLock::Prewritten { .. } => 0,
        };
        let mut lock = Lock {
            kind,
            primary: request.primary_lock.clone(),
            start_ts: request.start_version,
            ttl: self.ttl,
            short_value: inlined.then(|| mutation.value.clone()),
            for_update_ts: request.for_update_ts.max(had_for_update_ts),
            txn_size: request.txn_size,
            min_commit_ts: self.min_commit_ts,
            use_async_commit: secondaries.is_some(),
            secondaries: secondaries.unwrap_or_default().to_vec(),
            rollbacks: Vec::new(),
            locked_with_conflict: false,
            generation: self.generation,
            in_memory: false,
        };
        let result = if lock.use_async_commit || self.properties.one_phase {
            self.calculate_timestamp(state, &mut lock)
        } else {
            Ok(0)
        };
        let long_value = (kind == LockKind::Put && !inlined).then_some(mutation.value.as_slice());
        let had_pessimistic_lock = matches!(held, OwnLock::Pessimistic { .. });
        Step::Write { lock: Box::new(lock), long_value, had_pessimistic_lock, result }
    }

    /// Sets and returns a lock's lowest commit timestamp, above everything that was read here.
    fn calculate_timestamp(&self, state: &State, lock: &mut Lock) -> Result<u64> {
        let request = self.properties.request;
        let above = state.max_ts(self.scope.store).max(request.start_version).max(request.for_update_ts);
        let lowest = above.saturating_add(1).max(lock.min_commit_ts);
        if request.max_commit_ts != 0 && lowest > request.max_commit_ts {
            lock.use_async_commit = false;
            lock.secondaries = Vec::new();
            return Err(Failure::CommitTsTooLarge { min_commit_ts: lowest });
        }
        lock.min_commit_ts = lowest;
        Ok(lowest)
    }
}

/// The lock that a mutation takes, if any, and whether the key must not exist.
fn wanted(mutation: &Mutation) -> Result<(Option<LockKind>, bool)> {
    match Op::try_from(mutation.op) {
        Ok(Op::Put) => Ok((Some(LockKind::Put), false)),
        Ok(Op::Insert) => Ok((Some(LockKind::Put), true)),
        Ok(Op::Del) => Ok((Some(LockKind::Delete), false)),
        Ok(Op::Lock) => Ok((Some(LockKind::Lock), false)),
        Ok(Op::CheckNotExists) => Ok((None, true)),
        // TiKV aborts at such a request; shared locks (since 9.0) are not implemented.
        Ok(_) | Err(_) => Err(Failure::Invalid(format!("mismatched op {} in prewrite mutations", mutation.op))),
    }
}
