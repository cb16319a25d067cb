//! What observers are told of a run.

use super::record::{Disposition, Recorded};
use super::runner::{Runner, Verdict};
use crate::observe::HandledAs;
use crate::policy::Exhausted;

impl From<Recorded> for HandledAs {
    fn from(recorded: Recorded) -> Self {
        match recorded {
            Recorded::Done => Self::Done,
            Recorded::Retried => Self::Retried,
            Recorded::Rescheduled => Self::Rescheduled,
            Recorded::Dead => Self::Dead,
            Recorded::Discarded => Self::Discarded,
            Recorded::Malformed => Self::Malformed,
            Recorded::Moved => Self::Moved,
            Recorded::Elsewhere => Self::Elsewhere,
        }
    }
}

/// What a verdict on the event's `attempt` comes to, and why.
pub(super) fn observed<'a>(runner: &Runner, attempt: u32, verdict: &'a Verdict) -> (HandledAs, Option<&'a str>) {
    match verdict {
        Verdict::Recorded(recorded) => ((*recorded).into(), None),
        Verdict::Unrecorded(Disposition::Done) => (HandledAs::Done, None),
        Verdict::Unrecorded(Disposition::Reschedule { .. } | Disposition::TryAgain) => (HandledAs::Rescheduled, None),
        Verdict::Unrecorded(Disposition::Dead { error }) => (HandledAs::Dead, Some(error)),
        Verdict::Unrecorded(Disposition::Malformed) => (HandledAs::Malformed, None),
        Verdict::Unrecorded(Disposition::Misplaced) => (HandledAs::Moved, None),
        Verdict::Fenced { .. } | Verdict::NotBegun => (HandledAs::PutBack, None),
        Verdict::Unrecorded(Disposition::Retry { error, .. }) => {
            let kind = match (runner.retry.is_exhausted(attempt), runner.exhausted) {
                (false, _) => HandledAs::Retried,
                (true, Exhausted::DeadLetter) => HandledAs::Dead,
                (true, Exhausted::Discard) => HandledAs::Discarded,
            };
            (kind, Some(error))
        }
    }
}
