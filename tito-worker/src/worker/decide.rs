//! Decides what becomes of an event: the only place that knows.

use std::borrow::Cow;
use std::time::Duration;

use tito_core::event::{Completion, DueTime, FailedAttempt, TitoEvent, Topic, most_event_bytes};
use tito_core::row::UnknownMembers;
use tito_core::{Now, Result};
use uuid::Uuid;

use crate::advance::Advance;
use crate::error_text::LONGEST_ERROR;
use crate::fate::Fate;
use crate::fingerprint::{cut_at, fingerprint};
use crate::keys;
use crate::observe::Failure;
use crate::outcome::Outcome;
use crate::place::{Kind, Place};
use crate::policy::{Exhausted, Policy};

/// How many failures an event remembers.
const FAILURES_KEPT: usize = 5;

const ASKED_FOR_ANOTHER: &str = "the handler asked for another attempt";
const NO_ROOM: &str = "there is no room to postpone it";

/// The result of handling an event.
#[derive(Clone, Debug)]
pub(super) enum Ended {
    /// The handler returned, and did not ask for a dead letter.
    Returned(Outcome),
    /// The handler says that the event is a dead letter.
    DeadLettered(Reason),
    /// The handler failed, with an error, a panic or its timeout.
    Failed(Reason),
    /// The engine failed, not the handler.
    EngineFailed,
    /// The stored bytes are not an event. No handler has seen them.
    NoEvent,
    /// The event is in a partition that it no longer belongs to. No handler has seen it.
    Misplaced,
}

/// Why an event has failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reason {
    text: String,
    fingerprint: String,
}

impl Reason {
    /// Truncates the text. The fingerprint covers all of it.
    fn new(text: String) -> Self {
        Self { fingerprint: fingerprint(&text), text: cut(text) }
    }
}

/// Who handled it, and how long that took, as far as known.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct HandledBy {
    pub(super) worker: Option<Uuid>,
    pub(super) duration: Option<Duration>,
}

impl HandledBy {
    fn duration_millis(self) -> Option<u64> {
        self.duration.map(|duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
    }
}

impl Ended {
    pub(super) fn failed(error: String) -> Self {
        Self::Failed(Reason::new(error))
    }

    /// Whether later events of the entity can continue after this, recorded or not. An event about to be dead-lettered
    /// may still be handled again, and succeed, if that is not recorded.
    pub(super) fn is_final_before_it_is_recorded(&self) -> bool {
        match self {
            Self::Returned(Outcome::Done) | Self::NoEvent | Self::Misplaced => true,
            Self::Returned(
                Outcome::DeadLetter(_) | Outcome::RetryAfter(_) | Outcome::RescheduleTo(_) | Outcome::Advance(_),
            )
            | Self::DeadLettered(_)
            | Self::Failed(_)
            | Self::EngineFailed => false,
        }
    }

    /// Whether a step of the event is done, and the next one follows.
    pub(super) fn is_step(&self) -> bool {
        matches!(self, Self::Returned(Outcome::Advance(_)))
    }

    /// Why the handler failed.
    pub(super) fn error(&self) -> Option<&str> {
        match self {
            Self::Failed(reason) => Some(&reason.text),
            _ => None,
        }
    }
}

impl From<Outcome> for Ended {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::DeadLetter(reason) => Self::DeadLettered(Reason::new(reason)),
            outcome => Self::Returned(outcome),
        }
    }
}

fn cut(mut text: String) -> String {
    text.truncate(cut_at(&text, LONGEST_ERROR));
    text
}

/// What the decision depends on, besides the event and the result of handling it.
pub(super) struct Rules<'a> {
    pub(super) policy: &'a Policy,
    /// The topic as it is when the fate is recorded.
    pub(super) topic: &'a Topic,
    /// The partition in which the event lies.
    pub(super) partition: u16,
    pub(super) handled_by: HandledBy,
    /// The event's id, or a new one if its key has none.
    pub(super) id: &'a dyn Fn() -> Uuid,
    /// How large a row may be.
    pub(super) most_bytes: usize,
    pub(super) now: Now,
    /// From 0 to 1: the jitter of delays.
    pub(super) random: f64,
}

/// What becomes of an event, and its row afterwards, if it has one.
#[derive(Debug, PartialEq)]
pub(super) struct Decided {
    pub(super) fate: Fate,
    pub(super) row: Option<(Place, Vec<u8>)>,
    /// What to log about it.
    pub(super) failure: Option<Box<Failure>>,
}

/// Decides what becomes of the event that is stored under `key`.
pub(super) fn decide(key: &[u8], stored: Cow<'_, [u8]>, ended: &Ended, rules: &Rules<'_>) -> Result<Decided> {
    if let Ended::Returned(Outcome::Done) = ended {
        let is_kept = rules.topic.history_seconds > 0;
        let row = is_kept.then(|| (rules.place(Kind::Done), rules.completed(key, stored.into_owned())));
        return Ok(Decided { fate: Fate::Done, row, failure: None });
    }
    let stored = stored.into_owned();
    let event = match ended {
        Ended::NoEvent => None,
        _ => TitoEvent::decode(key, &stored).ok(),
    };
    let Some(event) = event else { return Ok(rules.buried(Fate::Malformed, stored)) };
    // The subscription lags behind the engine's time by its delay, and so do the times that it is given.
    let delay = rules.policy.delay_seconds;
    let due_after = |wait| rules.now.seconds_after(wait).saturating_sub(delay).max(0);
    match ended {
        Ended::Misplaced => {
            let row = Some((Place::of(&event, rules.topic), stored));
            Ok(Decided { fate: Fate::Moved, row, failure: None })
        }
        Ended::EngineFailed => {
            let next_second = rules.now.seconds().saturating_add(1).saturating_sub(delay).max(0);
            rules.postpone(Fate::Rescheduled, event, stored, next_second)
        }
        Ended::Returned(Outcome::RescheduleTo(time)) => {
            let second = time.due_seconds().unwrap_or_default().saturating_sub(delay).max(due_after(Duration::ZERO));
            rules.postpone(Fate::Rescheduled, event, stored, second)
        }
        Ended::Returned(Outcome::RetryAfter(wait)) => {
            let event = rules.with_failure(event, Reason::new(ASKED_FOR_ANOTHER.to_string()));
            rules.retry(event, stored, due_after(*wait))
        }
        Ended::Failed(reason) => {
            let event = rules.with_failure(event, reason.clone());
            let wait = rules.policy.retry.delay(event.failed_attempts, rules.random);
            rules.retry(event, stored, due_after(wait))
        }
        Ended::Returned(Outcome::Advance(step)) => rules.advance(step, event, stored, due_after(step.delay)),
        Ended::DeadLettered(reason) => rules.dead_lettered(rules.with_failure(event, reason.clone()), stored),
        Ended::Returned(Outcome::DeadLetter(_)) => unreachable!("what a handler returned was made one that says why"),
        Ended::Returned(Outcome::Done) | Ended::NoEvent => unreachable!("decided above, without a look at the event"),
    }
}

impl Rules<'_> {
    /// Where the row of an event that is not to be handled goes.
    fn place(&self, kind: Kind) -> Place {
        Place { kind, partition: self.partition, second: self.now.seconds(), id: (self.id)() }
    }

    fn buried(&self, fate: Fate, row: Vec<u8>) -> Decided {
        Decided { fate, row: Some((self.place(Kind::Dead), row)), failure: None }
    }

    /// What to log about an event that contains its last failure.
    fn failure(&self, event: &TitoEvent, next: Option<i64>) -> Option<Box<Failure>> {
        let error = event.failures.last().expect("the failure was noted in it just now").error.clone();
        let (entity, attempt) = (event.entity.clone(), event.failed_attempts);
        Some(Box::new(Failure { id: event.id, entity, attempt, next, error }))
    }

    /// What is kept of a done event: the stored row, with how it was done if there is room for that.
    fn completed(&self, key: &[u8], stored: Vec<u8>) -> Vec<u8> {
        let Ok(mut event) = TitoEvent::decode(key, &stored) else { return stored };
        event.done = Some(Completion {
            outcome: Fate::Done.as_str().into(),
            worker: self.handled_by.worker,
            duration_millis: self.handled_by.duration_millis(),
            unknown: UnknownMembers::default(),
        });
        event.encode().ok().filter(|row| row.len() <= self.most_bytes).unwrap_or(stored)
    }

    fn with_failure(&self, mut event: TitoEvent, reason: Reason) -> TitoEvent {
        event.failed_attempts = event.failed_attempts.saturating_add(1);
        event.failures.push(FailedAttempt {
            attempt: event.failed_attempts,
            timestamp: self.now.seconds(),
            error: reason.text,
            fingerprint: Some(reason.fingerprint),
            worker: self.handled_by.worker,
            duration_millis: self.handled_by.duration_millis(),
            unknown: UnknownMembers::default(),
        });
        let surplus = event.failures.len().saturating_sub(FAILURES_KEPT);
        event.failures.drain(..surplus);
        event
    }

    /// What becomes of an event that has failed again.
    fn retry(&self, event: TitoEvent, stored: Vec<u8>, second: i64) -> Result<Decided> {
        match self.policy.exhausted {
            _ if !self.policy.retry.is_exhausted(event.failed_attempts) => {
                self.postpone(Fate::Retried, event, stored, second)
            }
            Exhausted::Discard => Ok(Decided { fate: Fate::Discarded, row: None, failure: self.failure(&event, None) }),
            Exhausted::DeadLetter => self.dead_lettered(event, stored),
        }
    }

    /// An event to be handled again at a second fails for good if it no longer fits.
    fn postpone(&self, fate: Fate, event: TitoEvent, stored: Vec<u8>, second: i64) -> Result<Decided> {
        let (timestamp, not_before) = (event.timestamp, event.not_before);
        let again = self.policy.order.postpone(second.min(keys::MAX_EVENT_SECONDS));
        let event = again.applied_to(event);
        let row = event.encode()?;
        if row.len() > self.most_bytes {
            let event = TitoEvent { timestamp, not_before, ..event };
            let event =
                if fate == Fate::Retried { event } else { self.with_failure(event, Reason::new(NO_ROOM.to_string())) };
            return self.dead_lettered(event, stored);
        }
        let next = second.saturating_add(self.policy.delay_seconds);
        let failure = if fate == Fate::Retried { self.failure(&event, Some(next)) } else { None };
        Ok(Decided { fate, row: Some((Place::of(&event, self.topic), row)), failure })
    }

    /// An event whose next step does not fit fails for good, with its current step. As at publishing, there has to be
    /// room for its failures. To make room, the payloads of earlier steps go, except the first, which is what is
    /// handled if everything is handled again.
    fn advance(&self, step: &Advance, event: TitoEvent, stored: Vec<u8>, second: i64) -> Result<Decided> {
        let next = match step.applied_to(event.clone(), self.now) {
            Ok(next) => next,
            // It was JSON when the step was created.
            Err(error) => return self.dead_lettered(self.with_failure(event, Reason::new(error.to_string())), stored),
        };
        let again = self.policy.order.postpone(second.min(keys::MAX_EVENT_SECONDS));
        let mut next = again.applied_to(next);
        let mut row = next.encode()?;
        let most = most_event_bytes(self.most_bytes);
        for number in 1..next.steps.len() {
            if row.len() > most && next.steps[number].payload.take().is_some() {
                row = next.encode()?;
            }
        }
        if row.len() > most {
            return self.dead_lettered(self.with_failure(event, Reason::new(NO_ROOM.to_string())), stored);
        }
        Ok(Decided { fate: Fate::Advanced, row: Some((Place::of(&next, self.topic), row)), failure: None })
    }

    /// If there is no room for the failure, the event is kept as it was stored.
    fn dead_lettered(&self, event: TitoEvent, stored: Vec<u8>) -> Result<Decided> {
        let row = event.encode()?;
        let failure = self.failure(&event, None);
        let row = if row.len() > self.most_bytes { stored } else { row };
        Ok(Decided { failure, ..self.buried(Fate::Dead, row) })
    }
}

#[cfg(test)]
mod tests;
