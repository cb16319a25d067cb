//! Prewrite: all keys of a transaction get their locks and new values, or none does
//! (`src/storage/txn/commands/prewrite.rs`).

use tito_tikv_proto::kvrpcpb::{Mutation, PrewriteRequest, PrewriteResponse, prewrite_request::PessimisticAction};

use crate::faults::max_timestamp_not_synced;

use super::changes::Changes;
use super::failure::{Failure, Result};
use super::history::Outcome;
use super::prewrite_key::{KeyPrewrite, Properties, Step};
use super::records::Lock;
use super::scope::Scope;
use super::state::State;

/// With this many mutations or more, an optimistic prewrite first checks whether there is anything in their range.
const FORWARD_MIN_MUTATIONS: usize = 12;

/// Prewrites all keys of the request or none.
pub(super) fn prewrite(state: &mut State, scope: Scope<'_>, request: &PrewriteRequest) -> PrewriteResponse {
    let mut prewrite = match Prewrite::new(state, scope, request) {
        Ok(prewrite) => prewrite,
        Err(failure) => return failed(failure),
    };
    if !scope.max_ts_synced && (request.use_async_commit || request.try_one_pc) {
        return PrewriteResponse { region_error: Some(max_timestamp_not_synced()), ..PrewriteResponse::default() };
    }
    match prewrite.run(state) {
        Ok(locked) => prewrite.finish(state, locked),
        Err(failure) => failed(failure),
    }
}

fn failed(failure: Failure) -> PrewriteResponse {
    PrewriteResponse { errors: vec![failure.into_key_error()], ..PrewriteResponse::default() }
}

/// A mutation and what the request says about its pessimistic lock.
#[derive(Clone, Copy)]
pub(super) struct Planned<'a> {
    pub(super) mutation: &'a Mutation,
    pub(super) action: PessimisticAction,
    /// The timestamp that the lock must have been taken for.
    pub(super) expected_for_update_ts: Option<u64>,
}

struct Prewrite<'a> {
    scope: Scope<'a>,
    request: &'a PrewriteRequest,
    planned: Vec<Planned<'a>>,
    properties: Properties<'a>,
    /// With async commit, the transaction's other keys.
    secondaries: Option<&'a [Vec<u8>]>,
    one_phase: bool,
    /// The lowest commit timestamp for the keys so far, if it is calculated here.
    min_commit_ts: u64,
    changes: Changes,
    /// In one phase: the locks to commit immediately instead of writing them, and whether each replaces a pessimistic
    /// lock.
    held_back: Vec<(&'a [u8], Lock, bool)>,
}

impl<'a> Prewrite<'a> {
    fn new(state: &State, scope: Scope<'a>, request: &'a PrewriteRequest) -> Result<Self> {
        let pessimistic = request.for_update_ts != 0;
        let mut planned: Vec<Planned<'a>> = if pessimistic {
            planned_pessimistic(request)?
        } else {
            request.mutations.iter().map(planned_optimistic).collect()
        };
        let mut skip_constraint_check = request.skip_constraint_check;
        if !pessimistic && planned.len() > FORWARD_MIN_MUTATIONS {
            planned.sort_by(|a, b| a.mutation.key.cmp(&b.mutation.key));
            skip_constraint_check |= !any_version_among(state, &planned);
        }
        // If the transaction is known to be committed, this request is late, whether it says so or not.
        let known_committed = pessimistic && state.is_known_committed(scope.store, request.start_version);
        let is_retry = request.context.as_ref().is_some_and(|context| context.is_retry_request);
        let properties = Properties {
            request,
            skip_constraint_check,
            is_retry: is_retry || known_committed,
            calculates_timestamp: request.use_async_commit || request.try_one_pc,
            one_phase: request.try_one_pc,
        };
        Ok(Self {
            scope,
            request,
            planned,
            properties,
            secondaries: request.use_async_commit.then_some(request.secondaries.as_slice()),
            one_phase: request.try_one_pc,
            min_commit_ts: 0,
            changes: Changes::default(),
            held_back: Vec::new(),
        })
    }

    /// Prepares every key; returns the locks of others that were met. Other failures end it, a failed assertion last.
    fn run(&mut self, state: &mut State) -> Result<Vec<Failure>> {
        let mut locked = Vec::new();
        let mut assertion = None;
        for planned in std::mem::take(&mut self.planned) {
            let needs_timestamp = self.secondaries.is_some() || self.one_phase;
            match self.key(state, planned) {
                Ok(min_commit_ts) if !(needs_timestamp && min_commit_ts == 0) => {
                    if needs_timestamp {
                        self.min_commit_ts = self.min_commit_ts.max(min_commit_ts);
                    }
                }
                // The key was prewritten before, and fell back then.
                Ok(_) => self.fall_back(),
                Err(failure) => {
                    // A repeated request after the commit finds the transaction's own commit in its way.
                    let commit_ts =
                        if may_be_repeated(&failure) { self.committed_at(state, &planned.mutation.key) } else { None };
                    if let Some(commit_ts) = commit_ts {
                        self.changes.clear();
                        self.held_back.clear();
                        self.min_commit_ts = commit_ts;
                        return Ok(Vec::new());
                    }
                    match failure {
                        Failure::CommitTsTooLarge { .. } => self.fall_back(),
                        Failure::Locked(_) => locked.push(failure),
                        Failure::AssertionFailed { .. } => assertion = assertion.or(Some(failure)),
                        failure => return Err(failure),
                    }
                }
            }
        }
        assertion.map_or(Ok(locked), Err)
    }

    fn key(&mut self, state: &mut State, planned: Planned<'a>) -> Result<u64> {
        let key = KeyPrewrite::new(self.scope, &self.properties, planned, 0)?;
        let is_primary = planned.mutation.key == self.request.primary_lock;
        let secondaries = self.secondaries.map(|all| if is_primary { all } else { &[] });
        match key.run(state, secondaries)? {
            Step::Nothing { min_commit_ts } => Ok(min_commit_ts),
            Step::Write { lock, long_value, had_pessimistic_lock, result } => {
                let key = planned.mutation.key.as_slice();
                if let Some(value) = long_value {
                    self.changes.put_value(key, self.request.start_version, value.to_vec());
                }
                if self.one_phase && result.is_ok() {
                    self.held_back.push((key, *lock, had_pessimistic_lock));
                } else {
                    self.changes.put_lock(key, *lock);
                }
                result
            }
        }
    }

    fn finish(mut self, state: &mut State, locked: Vec<Failure>) -> PrewriteResponse {
        // Even with locks of others in the way, the answer has the timestamp of the other keys.
        let min_commit_ts = if self.secondaries.is_some() { self.min_commit_ts } else { 0 };
        if !locked.is_empty() {
            let errors = locked.into_iter().map(Failure::into_key_error).collect();
            return PrewriteResponse { errors, min_commit_ts, ..PrewriteResponse::default() };
        }
        let mut one_pc_commit_ts = 0;
        if self.one_phase {
            one_pc_commit_ts = self.min_commit_ts;
            for (key, lock, had_pessimistic_lock) in std::mem::take(&mut self.held_back) {
                self.changes.put_write(key, one_pc_commit_ts, super::records::Write::commit(&lock, one_pc_commit_ts));
                if had_pessimistic_lock {
                    self.changes.release_lock(key, one_pc_commit_ts);
                }
            }
        }
        state.apply(self.changes);
        if one_pc_commit_ts != 0 {
            state.note_commit(self.scope.store, self.request.start_version, one_pc_commit_ts);
        }
        PrewriteResponse { min_commit_ts, one_pc_commit_ts, ..PrewriteResponse::default() }
    }

    /// Continues as a two-phase commit, including the locks of one phase; the zeros in the response tell the client. A
    /// lock that already has async commit keeps it.
    fn fall_back(&mut self) {
        self.properties.calculates_timestamp = false;
        self.properties.one_phase = false;
        self.secondaries = None;
        self.one_phase = false;
        self.min_commit_ts = 0;
        for (key, lock, _) in std::mem::take(&mut self.held_back) {
            self.changes.put_lock(key, lock);
        }
    }

    fn committed_at(&self, state: &State, key: &[u8]) -> Option<u64> {
        match state.outcome(key, self.request.start_version) {
            Outcome::Committed { commit_ts } => Some(commit_ts),
            Outcome::RolledBack | Outcome::Unknown { .. } => None,
        }
    }
}

fn may_be_repeated(failure: &Failure) -> bool {
    match failure {
        Failure::WriteConflict(conflict) => conflict.conflict_commit_ts > conflict.start_ts,
        Failure::PessimisticLockNotFound { .. } | Failure::CommitTsTooLarge { .. } | Failure::Locked(_) => true,
        _ => false,
    }
}

fn planned_optimistic(mutation: &Mutation) -> Planned<'_> {
    Planned { mutation, action: PessimisticAction::SkipPessimisticCheck, expected_for_update_ts: None }
}

/// Mutations in excess of the actions are ignored, as in TiKV.
fn planned_pessimistic(request: &PrewriteRequest) -> Result<Vec<Planned<'_>>> {
    let plan = |(mutation, action): (_, &i32)| Planned {
        mutation,
        action: PessimisticAction::try_from(*action).unwrap_or(PessimisticAction::SkipPessimisticCheck),
        expected_for_update_ts: None,
    };
    let mut planned: Vec<Planned<'_>> = request.mutations.iter().zip(&request.pessimistic_actions).map(plan).collect();
    let count = planned.len();
    for constraint in &request.for_update_ts_constraints {
        let index = usize::try_from(constraint.index).unwrap_or(usize::MAX);
        let Some(planned) = planned.get_mut(index) else {
            let text = format!(
                "prewrite request invalid: for_update_ts constraint set for index {index} while {count} mutations were \
                 given"
            );
            return Err(Failure::Invalid(text));
        };
        planned.expected_for_update_ts = Some(constraint.expected_for_update_ts);
    }
    Ok(planned)
}

/// Whether any key from the first to the last of these sorted ones has a write record.
fn any_version_among(state: &State, planned: &[Planned<'_>]) -> bool {
    let (Some(first), Some(last)) = (planned.first(), planned.last()) else { return false };
    let mut end = last.mutation.key.clone();
    end.push(0);
    let range = super::boundary::KeyRange::new(&first.mutation.key, &end);
    state.histories_in(&range).any(|(_, history)| history.has_writes())
}
