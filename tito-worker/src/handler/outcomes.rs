//! What handlers return.

use tito_core::BoxError;

use crate::outcome::Outcome;

/// What a handler can return in `Ok`: `()` or an [`Outcome`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` says nothing of what becomes of an event",
    note = "a handler returns `Ok(())` or `Ok` of an `Outcome`"
)]
pub trait IntoOutcome {
    /// The outcome that it stands for.
    fn into_outcome(self) -> Outcome;
}

impl IntoOutcome for Outcome {
    fn into_outcome(self) -> Outcome {
        self
    }
}

impl IntoOutcome for () {
    fn into_outcome(self) -> Outcome {
        Outcome::Done
    }
}

/// What a batch handler can return in `Ok`: `()` for all events done, or an [`Outcome`] for each.
#[diagnostic::on_unimplemented(
    message = "`{Self}` says nothing of what becomes of a batch of events",
    note = "a batch handler returns `Ok(())` or `Ok` of a `Vec<Outcome>`"
)]
pub trait IntoOutcomes {
    /// The outcomes that it stands for, of a batch of `events` events.
    fn into_outcomes(self, events: usize) -> Vec<Outcome>;
}

impl IntoOutcomes for () {
    fn into_outcomes(self, events: usize) -> Vec<Outcome> {
        vec![Outcome::Done; events]
    }
}

impl IntoOutcomes for Vec<Outcome> {
    fn into_outcomes(self, _: usize) -> Vec<Outcome> {
        self
    }
}

pub(super) type HandlerResult = Result<Outcome, BoxError>;
pub(super) type BatchResult = Result<Vec<Outcome>, BoxError>;

pub(super) fn one_for_each<O: IntoOutcomes, Error: Into<BoxError>>(
    events: usize,
    result: Result<O, Error>,
) -> BatchResult {
    let outcomes = result.map_err(Into::into)?.into_outcomes(events);
    if outcomes.len() != events {
        return Err(format!("the handler returned {} outcomes for {events} events", outcomes.len()).into());
    }
    Ok(outcomes)
}
