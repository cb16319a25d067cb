//! Pessimistic locks: taken while a transaction runs, possibly after waiting for others.

use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use tito_tikv_proto::kvrpcpb::{
    LockInfo, PessimisticLockKeyResult, PessimisticLockKeyResultType, PessimisticLockRequest, PessimisticLockResponse,
    PessimisticLockWakeUpMode, write_conflict::Reason,
};

use super::Storage;
use super::acquire::{Acquired, acquire};
use super::failure::{Conflict, Failure};
use super::scope::Scope;
use super::state::State;
use super::waiting::{Released, Ticket};

/// TiKV's default `wait-for-lock-timeout`, and the longest wait that a request may ask for.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// Locks all keys of the request or none, waiting for a locked one as long as the request wants.
///
/// The request does not run between its attempts, so earlier checks have to be repeated: `admit` says whether the
/// request may still proceed, or what else to answer.
pub(super) async fn pessimistic_lock(
    storage: &Storage,
    request: &PessimisticLockRequest,
    admit: impl Fn(&mut dyn FnMut(Scope<'_>)) -> Option<PessimisticLockResponse>,
) -> PessimisticLockResponse {
    let deadline = longest_wait(request).map(|wait| Instant::now() + wait);
    loop {
        let mut attempted = None;
        let refused = admit(&mut |scope| {
            attempted = Some(storage.with(|state| attempt(state, scope, request, deadline.is_some())));
        });
        let (lock, woken, ticket) = match (refused, attempted) {
            (Some(response), _) => return response,
            (None, Some(Ok(Attempt::Wait { lock, woken, ticket }))) => (lock, woken, ticket),
            (None, Some(Ok(Attempt::Locked(acquired)))) => return response(request, acquired),
            (None, Some(Err(failure))) => return failed(request, failure),
            (None, None) => return PessimisticLockResponse::default(),
        };
        // Releases the place however the wait ends, even if the caller goes away.
        let _place = PlaceInQueue { storage, ticket };
        let outcome = match deadline {
            Some(deadline) => timeout_at(deadline, woken).await,
            None => return failed(request, Failure::Locked(lock)),
        };
        match outcome {
            Ok(Ok(_)) if forces(request) => {}
            Ok(Ok(released)) => return failed(request, retry(request, &lock, released)),
            // Time is up: the client has to check the lock itself.
            Ok(Err(_)) | Err(_) => return failed(request, Failure::Locked(lock)),
        }
    }
}

enum Attempt {
    Locked(Vec<Acquired>),
    Wait { lock: Box<LockInfo>, woken: oneshot::Receiver<Released>, ticket: Ticket },
}

struct PlaceInQueue<'a> {
    storage: &'a Storage,
    ticket: Ticket,
}

impl Drop for PlaceInQueue<'_> {
    fn drop(&mut self) {
        self.storage.with(|state| state.waiting.leave(&self.ticket));
    }
}

fn attempt(
    state: &mut State,
    scope: Scope<'_>,
    request: &PessimisticLockRequest,
    may_wait: bool,
) -> Result<Attempt, Failure> {
    let locked = match acquire(state, scope, request, forces(request)) {
        Ok(acquired) => return Ok(Attempt::Locked(acquired)),
        Err(Failure::Locked(locked)) if may_wait => locked,
        Err(failure) => return Err(failure),
    };
    let Some(lock) = state.lock(&locked.key).cloned() else {
        return Err(Failure::Locked(locked));
    };
    let (ticket, woken) = state.waiting.enter(&locked.key, &lock, request)?;
    Ok(Attempt::Wait { lock: locked, woken, ticket })
}

fn longest_wait(request: &PessimisticLockRequest) -> Option<Duration> {
    match u64::try_from(request.wait_timeout) {
        Ok(0) => Some(LONGEST_WAIT),
        Ok(milliseconds) => Some(Duration::from_millis(milliseconds).min(LONGEST_WAIT)),
        // A negative one: no wait.
        Err(_) => None,
    }
}

/// Whether the request takes the lock when its turn comes, even if the key has been written since.
fn forces(request: &PessimisticLockRequest) -> bool {
    request.wake_up_mode == PessimisticLockWakeUpMode::WakeUpModeForceLock as i32
}

/// After a wait the key has probably changed: the client takes a new timestamp and retries, even if the lock's
/// transaction was rolled back. TiKV doesn't check which it was.
fn retry(request: &PessimisticLockRequest, lock: &LockInfo, released: Released) -> Failure {
    Failure::WriteConflict(Box::new(Conflict {
        start_ts: request.start_version,
        conflict_start_ts: released.start_ts,
        conflict_commit_ts: released.commit_ts,
        key: lock.key.clone(),
        primary: request.primary_lock.clone(),
        reason: Reason::PessimisticRetry,
    }))
}

/// A lock in the way of a forced one is also reported as its key's result, any other failure as the request's.
fn failed(request: &PessimisticLockRequest, failure: Failure) -> PessimisticLockResponse {
    let mut results = Vec::new();
    if forces(request) && matches!(failure, Failure::Locked(_)) {
        let kind = PessimisticLockKeyResultType::LockResultFailed;
        results.push(PessimisticLockKeyResult { r#type: kind.into(), ..PessimisticLockKeyResult::default() });
    }
    PessimisticLockResponse { errors: vec![failure.into_key_error()], results, ..PessimisticLockResponse::default() }
}

fn response(request: &PessimisticLockRequest, acquired: Vec<Acquired>) -> PessimisticLockResponse {
    let mut response = PessimisticLockResponse::default();
    for key in acquired {
        if forces(request) {
            response.results.push(result(key));
            continue;
        }
        if request.return_values || request.check_existence {
            response.not_founds.push(key.value.is_none());
        }
        if request.return_values {
            response.values.push(key.value.unwrap_or_default());
        }
    }
    response
}

fn result(key: Acquired) -> PessimisticLockKeyResult {
    let kind = match key.conflict_ts {
        0 => PessimisticLockKeyResultType::LockResultNormal,
        _ => PessimisticLockKeyResultType::LockResultLockedWithConflict,
    };
    PessimisticLockKeyResult {
        r#type: kind.into(),
        existence: key.value.is_some(),
        value: key.value.unwrap_or_default(),
        locked_with_conflict_ts: key.conflict_ts,
        skip_resolving_lock: false,
        ..PessimisticLockKeyResult::default()
    }
}
