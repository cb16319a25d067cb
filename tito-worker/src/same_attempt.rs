//! Whether an event is stored as it was handed out.

use tito_core::event::TitoEvent;

/// Whether what is stored of an event is still at the step and the attempt with which it was handed out. Progress can have
/// been recorded since, and a death been noted. A worker that was slow finds another step or attempt under the same key
/// when another one has gone on with the event: what its handler came to is no longer true of it.
pub(crate) fn is_same_attempt(handed_out: &TitoEvent, stored: &TitoEvent) -> bool {
    let failures = |event: &TitoEvent| {
        event.failures.iter().map(|failure| (failure.attempt, failure.timestamp)).collect::<Vec<_>>()
    };
    let steps_are_same = || {
        handed_out.steps.len() == stored.steps.len()
            && handed_out.steps.iter().zip(&stored.steps).all(|(one, other)| {
                let payload =
                    |step: &tito_core::event::DoneStep| step.payload.as_ref().map(|json| json.get().to_string());
                (one.attempt, one.timestamp) == (other.attempt, other.timestamp) && payload(one) == payload(other)
            })
    };
    (handed_out.failed_attempts, handed_out.not_before) == (stored.failed_attempts, stored.not_before)
        && failures(handed_out) == failures(stored)
        && steps_are_same()
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
