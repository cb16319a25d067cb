//! Whether an event is stored as it was handed out.

use serde_json::value::RawValue;
use tito_core::event::{DoneStep, FailedAttempt, TitoEvent};

/// Whether what is stored of an event is still at the step and the attempt with which it was handed out. Progress can have
/// been recorded since, and a death been noted. A worker that was slow finds another step or attempt under the same key
/// when another one has gone on with the event: what its handler came to is no longer true of it.
pub(crate) fn is_same_attempt(handed_out: &TitoEvent, stored: &TitoEvent) -> bool {
    (handed_out.failed_attempts, handed_out.not_before) == (stored.failed_attempts, stored.not_before)
        && handed_out.failures.iter().map(failure).eq(stored.failures.iter().map(failure))
        && handed_out.steps.iter().map(step).eq(stored.steps.iter().map(step))
}

fn failure(failure: &FailedAttempt) -> (u32, i64) {
    (failure.attempt, failure.timestamp)
}

fn step(step: &DoneStep) -> (u32, i64, Option<&str>) {
    (step.attempt, step.timestamp, step.payload.as_deref().map(RawValue::get))
}

/// The same of an event that was handed out as these bytes.
pub(crate) fn are_same_attempt(key: &[u8], handed_out: &[u8], stored: &[u8]) -> bool {
    if handed_out == stored {
        return true;
    }
    match (TitoEvent::decode_known(key, handed_out), TitoEvent::decode_known(key, stored)) {
        (Ok(handed_out), Ok(stored)) => is_same_attempt(&handed_out, &stored),
        _ => false,
    }
}
