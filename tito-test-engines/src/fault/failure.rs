//! How a call fails, once the rules have seen it.

use std::future::Future;
use std::sync::Arc;

use tito_core::clock::Clock;
use tito_core::{KeyText, Result, SharedError, TitoError};

use super::Call;
use super::rules::{Effect, Faults, Keys};

/// What remains of an [`Effect`] after its waits.
#[derive(Debug)]
pub(super) enum Failure {
    Conflict,
    StorageError,
    LostAnswer,
    LostRequest,
    Closed(TitoError),
}

impl Faults {
    /// Counts a call, waits if a rule says so, and returns how the call should fail.
    pub(super) async fn meet(&self, call: Call, keys: Keys<'_>, clock: &Arc<dyn Clock>) -> Option<Failure> {
        tokio::select! {
            biased;
            closed = self.closed() => Some(Failure::Closed(closed)),
            failure = self.meet_rule(call, keys, clock) => failure,
        }
    }

    async fn meet_rule(&self, call: Call, keys: Keys<'_>, clock: &Arc<dyn Clock>) -> Option<Failure> {
        match self.decide(call, &keys)? {
            Effect::Conflict => Some(Failure::Conflict),
            Effect::StorageError => Some(Failure::StorageError),
            Effect::LostAnswer => Some(Failure::LostAnswer),
            Effect::LostRequest => Some(Failure::LostRequest),
            Effect::Delay(duration) => {
                let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
                clock.wait_until_monotonic(clock.monotonic_millis().saturating_add(millis)).await;
                None
            }
            Effect::Hold(gate) => {
                gate.pass().await;
                None
            }
        }
    }
}

/// Makes a call that is not a commit, or fails it.
pub(super) async fn around<R>(
    fault: Option<Failure>,
    call: Call,
    operation: impl Future<Output = Result<R>>,
) -> Result<R> {
    match fault {
        None => operation.await,
        Some(Failure::LostAnswer) => {
            operation.await?;
            Err(storage_error(call))
        }
        Some(Failure::Conflict) => Err(TitoError::Conflict { key: KeyText::from(Vec::new()) }),
        Some(Failure::StorageError | Failure::LostRequest) => Err(storage_error(call)),
        Some(Failure::Closed(closed)) => Err(closed),
    }
}

pub(super) fn storage_error(call: Call) -> TitoError {
    TitoError::Storage { operation: "a call that a test made fail", source: injected(call) }
}

pub(super) fn injected(call: Call) -> SharedError {
    format!("a fault was injected at {call:?}").into()
}
