//! Transactions written piece by piece while they run, since 8.0 (`src/storage/txn/commands/flush.rs`).

use tito_tikv_proto::kvrpcpb::{
    BufferBatchGetRequest, BufferBatchGetResponse, FlushRequest, FlushResponse, KvPair, PrewriteRequest,
    prewrite_request::PessimisticAction,
};

use super::changes::Changes;
use super::failure::{Failure, Result};
use super::history::Outcome;
use super::prewrite::Planned;
use super::prewrite_key::{KeyPrewrite, Properties, Step};
use super::records::LockKind;
use super::scope::Scope;
use super::state::State;

/// Writes the locks and values of some of a transaction's keys. Keys whose lock comes from a later flush stay as they
/// are. Locks of others in the way are reported, and the other keys are still written.
pub(super) fn flush(state: &mut State, scope: Scope<'_>, request: &FlushRequest) -> FlushResponse {
    let failures = match flush_keys(state, scope, request) {
        Ok(locked) => locked,
        Err(failure) => vec![failure],
    };
    FlushResponse { errors: failures.into_iter().map(Failure::into_key_error).collect(), ..FlushResponse::default() }
}

fn flush_keys(state: &mut State, scope: Scope<'_>, request: &FlushRequest) -> Result<Vec<Failure>> {
    if request.generation == 0 {
        let text = "generation should be greater than 0 for Flush requests";
        return Err(Failure::Invalid(text.to_owned()));
    }
    let start_ts = request.start_ts;
    let prewrite = PrewriteRequest {
        primary_lock: request.primary_key.clone(),
        start_version: start_ts,
        lock_ttl: request.lock_ttl,
        // The final number of keys is unknown.
        txn_size: u64::MAX,
        // Not zero, so that readers may push it.
        min_commit_ts: start_ts.saturating_add(1),
        assertion_level: request.assertion_level,
        ..PrewriteRequest::default()
    };
    let properties = Properties {
        request: &prewrite,
        skip_constraint_check: false,
        is_retry: request.context.as_ref().is_some_and(|context| context.is_retry_request),
        calculates_timestamp: false,
        one_phase: false,
    };
    let mut changes = Changes::default();
    let mut locked = Vec::new();
    let mut assertion = None;
    for mutation in &request.mutations {
        let action = PessimisticAction::SkipPessimisticCheck;
        let planned = Planned { mutation, action, expected_for_update_ts: None };
        let step = KeyPrewrite::new(scope, &properties, planned, request.generation)?.run(state, None);
        match step {
            Ok(Step::Nothing { .. }) | Err(Failure::GenerationOutOfOrder { .. }) => {}
            Ok(Step::Write { lock, long_value, .. }) => {
                if let Some(value) = long_value {
                    changes.put_value(&mutation.key, start_ts, value.to_vec());
                }
                changes.put_lock(&mutation.key, *lock);
            }
            Err(failure) => {
                let may_be_repeated = match &failure {
                    Failure::WriteConflict(conflict) => conflict.conflict_commit_ts > conflict.start_ts,
                    Failure::Locked(_) => true,
                    _ => false,
                };
                if may_be_repeated && matches!(state.outcome(&mutation.key, start_ts), Outcome::Committed { .. }) {
                    return Ok(Vec::new());
                }
                match failure {
                    Failure::Locked(_) => locked.push(failure),
                    Failure::AssertionFailed { .. } => assertion = assertion.or(Some(failure)),
                    failure => return Err(failure),
                }
            }
        }
    }
    if let Some(failure) = assertion {
        return Err(failure);
    }
    state.apply(changes);
    Ok(locked)
}

/// What a transaction has flushed for some keys; a deletion is reported as an empty value.
pub(super) fn buffer_batch_get(
    state: &mut State,
    scope: Scope<'_>,
    request: &BufferBatchGetRequest,
) -> BufferBatchGetResponse {
    state.note_read(scope.store, request.version);
    let pairs = request.keys.iter().filter_map(|key| {
        let lock = state.lock_of(key, request.version)?;
        let value = match (&lock.short_value, lock.kind) {
            (Some(value), _) => value.clone(),
            (None, LockKind::Put) => state.history(key).long_value(lock.start_ts).to_vec(),
            (None, LockKind::Delete) => Vec::new(),
            (None, LockKind::Lock | LockKind::Pessimistic) => return None,
        };
        Some(KvPair { key: key.clone(), value, ..KvPair::default() })
    });
    BufferBatchGetResponse { pairs: pairs.collect(), ..BufferBatchGetResponse::default() }
}
