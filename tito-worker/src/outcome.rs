//! What a handler decides about an event.

use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::advance::Advance;

/// What a handler that did not fail decides about its event. A handler that returns an error asks for another attempt
/// by the retry policy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// The event is done and is deleted.
    #[default]
    Done,
    /// The event has failed for now and is tried again after this time instead of the policy's backoff, rounded up to
    /// whole seconds. This counts as an attempt: after the last one the event fails for good.
    RetryAfter(Duration),
    /// The event is handed out again at this time, rounded up to whole seconds; a past time means at once. Not an
    /// attempt.
    RescheduleTo(DateTime<Utc>),
    /// The step is done, and the event moves to its next one: the handler is called again, with another payload.
    /// Finished steps stay in the event's [`steps`](tito_core::event::TitoEvent::steps), and attempts count from 1
    /// again. It is recorded at once, so a step is not done again once the next one has begun; with
    /// [`Order::Strict`](crate::Order::Strict) later events of the entity wait until the last step is done.
    Advance(Advance),
    /// The event goes to the dead letters at once, for this reason.
    DeadLetter(String),
}

impl From<Advance> for Outcome {
    fn from(advance: Advance) -> Self {
        Self::Advance(advance)
    }
}
