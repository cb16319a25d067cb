//! What becomes of an event, decided: the only place that knows.

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
const NO_ROOM: &str = "there is no room to put it off";

/// What the handling of an event came to.
#[derive(Clone, Debug)]
pub(super) enum Ended {
    /// The handler has returned; what it says is no dead letter.
    Returned(Outcome),
    /// The handler says that it is a dead letter.
    DeadLettered(Reason),
    /// The handler has failed, by an error, a panic or its timeout.
    Failed(Reason),
    /// The engine has failed and not the handler.
    EngineFailed,
    /// The stored bytes are no event. No handler has seen them.
    NoEvent,
    /// It lies in a partition that it no longer belongs to. No handler has seen it.
    Misplaced,
}

/// Why an event has failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reason {
    text: String,
    fingerprint: String,
}

impl Reason {
    /// Its text is cut. The fingerprint is that of all of it.
    fn new(text: String) -> Self {
        Self { fingerprint: fingerprint(&text), text: cut(text) }
    }
}

/// By whom it was handled, and how long that took, as far as it is known.
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

    /// Whether what has happened already lets later events of the entity go on, recorded or not. An event that is to be
    /// dead-lettered may still be handled again, and succeed, if that is not recorded.
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

    /// Whether a step of the event is done, and the next one is to follow.
    pub(super) fn is_step(&self) -> bool {
        matches!(self, Self::Returned(Outcome::Advance(_)))
    }

    /// Why the handler has failed.
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

/// By what it is decided, beside the event and what its handling came to.
pub(super) struct Rules<'a> {
    pub(super) policy: &'a Policy,
    /// The topic as it is when the fate is recorded.
    pub(super) topic: &'a Topic,
    /// The partition in which the event lies.
    pub(super) partition: u16,
    pub(super) handled_by: HandledBy,
    /// The event's id, or a new one where its key has none.
    pub(super) id: &'a dyn Fn() -> Uuid,
    /// How large a row may be.
    pub(super) most_bytes: usize,
    pub(super) now: Now,
    /// From 0 to 1: the jitter of delays.
    pub(super) random: f64,
}

/// What becomes of an event, and the row that there is of it then, if there is one.
#[derive(Debug, PartialEq)]
pub(super) struct Decided {
    pub(super) fate: Fate,
    pub(super) row: Option<(Place, Vec<u8>)>,
    /// What is to be logged of it.
    pub(super) failure: Option<Box<Failure>>,
}

/// Decides what becomes of the event that is stored under `key`.
pub(super) fn decide(key: &[u8], stored: Vec<u8>, ended: &Ended, rules: &Rules<'_>) -> Result<Decided> {
    let event = match ended {
        Ended::Returned(Outcome::Done) => {
            let is_kept = rules.topic.history_seconds > 0;
            let row = is_kept.then(|| (rules.place(Kind::Done), rules.completed(key, stored)));
            return Ok(Decided { fate: Fate::Done, row, failure: None });
        }
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
    /// Where a row of the event lies that is not to be handled.
    fn place(&self, kind: Kind) -> Place {
        Place { kind, partition: self.partition, second: self.now.seconds(), id: (self.id)() }
    }

    fn buried(&self, fate: Fate, row: Vec<u8>) -> Decided {
        Decided { fate, row: Some((self.place(Kind::Dead), row)), failure: None }
    }

    /// What is to be logged of an event whose last failure is noted in it.
    fn failure(&self, event: &TitoEvent, next: Option<i64>) -> Option<Box<Failure>> {
        let error = event.failures.last().expect("the failure was noted in it just now").error.clone();
        let (entity, attempt) = (event.entity.clone(), event.failed_attempts);
        Some(Box::new(Failure { id: event.id, entity, attempt, next, error }))
    }

    /// What is kept of an event that is done: as it is stored, with how it was done where there is room for that.
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

    /// What becomes of an event that has failed once more.
    fn retry(&self, event: TitoEvent, stored: Vec<u8>, second: i64) -> Result<Decided> {
        match self.policy.exhausted {
            _ if !self.policy.retry.is_exhausted(event.failed_attempts) => {
                self.postpone(Fate::Retried, event, stored, second)
            }
            Exhausted::Discard => Ok(Decided { fate: Fate::Discarded, row: None, failure: self.failure(&event, None) }),
            Exhausted::DeadLetter => self.dead_lettered(event, stored),
        }
    }

    /// An event that is to be handled again at a second fails for good if it does not fit any more.
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

    /// An event whose next step does not fit fails for good, with the step that it was at. As when it was published there
    /// has to be room for its failures; for that the payloads of earlier steps go, but for the first, which is what is
    /// handled again where all is.
    fn advance(&self, step: &Advance, event: TitoEvent, stored: Vec<u8>, second: i64) -> Result<Decided> {
        let next = match step.applied_to(event.clone(), self.now) {
            Ok(next) => next,
            // It was JSON when the step was made.
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

    /// With no room for the failure the event is kept as it was stored.
    fn dead_lettered(&self, event: TitoEvent, stored: Vec<u8>) -> Result<Decided> {
        let row = event.encode()?;
        let failure = self.failure(&event, None);
        let row = if row.len() > self.most_bytes { stored } else { row };
        Ok(Decided { failure, ..self.buried(Fate::Dead, row) })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;
    use crate::policy::{Order, RetryPolicy};
    use crate::time::time_of;

    const NOW: i64 = 10_000;

    fn by() -> HandledBy {
        HandledBy { worker: Some(Uuid::from_u128(9)), duration: Some(Duration::from_millis(17)) }
    }

    fn ended() -> impl Strategy<Value = Ended> {
        let wait =
            (0..5_000_u64).prop_map(|millis| Ended::Returned(Outcome::RetryAfter(Duration::from_millis(millis))));
        let at = prop_oneof![NOW - 100..NOW + 100, Just(i64::MIN), Just(i64::MAX)];
        prop_oneof![
            Just(Ended::Returned(Outcome::Done)),
            wait,
            at.prop_map(|second| Ended::Returned(Outcome::RescheduleTo(time_of(second)))),
            (0..5_000_u64, "[a\u{1}]{0,600}").prop_map(|(millis, text)| {
                let step = Advance::to(&text).unwrap().header("step", "2").after(Duration::from_millis(millis));
                Ended::Returned(step.into())
            }),
            "[a\u{1}]{0,600}".prop_map(|reason| Ended::from(Outcome::DeadLetter(reason))),
            "[a\u{1}]{0,600}".prop_map(Ended::failed),
            Just(Ended::EngineFailed),
            Just(Ended::NoEvent),
            Just(Ended::Misplaced),
        ]
    }

    fn policy() -> impl Strategy<Value = Policy> {
        let order = prop_oneof![Just(Order::Relaxed), Just(Order::Strict)];
        let exhausted = prop_oneof![Just(Exhausted::DeadLetter), Just(Exhausted::Discard)];
        (1..5_u32, order, exhausted, 0..50_i64).prop_map(|(attempts, order, exhausted, delay_seconds)| Policy {
            retry: RetryPolicy::default().attempts(attempts),
            exhausted,
            order,
            most_deaths: 5,
            delay_seconds,
        })
    }

    /// An event of the entity `a` that has failed so often, with what a later version stores beside.
    fn stored(second: i64, attempt: u32, not_before: Option<i64>) -> (Vec<u8>, Vec<u8>) {
        let id = Uuid::from_u128(7);
        let failures = (1..=attempt).map(|attempt| format!(r#"{{"attempt":{attempt},"timestamp":1,"error":"no"}}"#));
        let failures = failures.collect::<Vec<_>>().join(",");
        let wait = not_before.map(|second| format!(r#","not_before":{second}"#)).unwrap_or_default();
        let row = format!(
            r#"{{"id":"{id}","type":"job","entity":"a","action":"b","timestamp":{second},"attempt":{attempt}{wait},
            "failures":[{failures}],"later":1}}"#
        );
        (keys::event("job", 3, second, id), row.into_bytes())
    }

    proptest! {
        #[test]
        fn every_event_has_one_fate_and_the_row_says_which(
            ended in ended(),
            policy in policy(),
            second in 0..NOW,
            attempt in 0..7_u32,
            not_before in proptest::option::of(0..NOW),
            history_seconds in 0..2_u64,
            room in prop_oneof![Just(0), 0..5_000_usize],
            random in 0.0..1.0_f64,
        ) {
            let (key, row) = stored(second, attempt, not_before);
            let before = TitoEvent::decode(&key, &row).unwrap();
            let topic = Topic { history_seconds, ..Topic::unused() };
            let rules = Rules {
                policy: &policy,
                topic: &topic,
                partition: 3,
                handled_by: by(),
                id: &|| before.id,
                most_bytes: row.len() + room,
                now: Now::from_millis(NOW as u64 * 1_000 + 1),
                random,
            };
            let decided = decide(&key, row.clone(), &ended, &rules).unwrap();
            let fate = decided.fate;
            let failure = decided.failure.as_deref();
            prop_assert_eq!(failure.is_some(), matches!(fate, Fate::Retried | Fate::Dead | Fate::Discarded));
            if let Some(failure) = failure {
                prop_assert_eq!((failure.id, failure.attempt), (before.id, attempt + 1));
                let error = match &ended {
                    Ended::Failed(reason) | Ended::DeadLettered(reason) => reason.text.as_str(),
                    Ended::Returned(Outcome::RetryAfter(_)) => ASKED_FOR_ANOTHER,
                    _ => NO_ROOM,
                };
                prop_assert_eq!(failure.error.as_str(), error);
                prop_assert_eq!(failure.next.is_some(), fate == Fate::Retried);
                prop_assert!(failure.next.is_none_or(|next| next >= NOW));
            }
            if let Some((place, stored)) = &decided.row {
                prop_assert!(stored.len() <= rules.most_bytes, "it always fits");
                let kind = match fate {
                    Fate::Done => Kind::Done,
                    Fate::Dead | Fate::Malformed => Kind::Dead,
                    _ => Kind::Pending,
                };
                prop_assert_eq!((place.kind, place.id), (kind, before.id));
            }
            let (place, after) = match decided.row {
                None => (None, None),
                Some((place, row)) => (Some(place), Some((TitoEvent::decode(&key, &row).unwrap(), row))),
            };
            // What may become of it by what its handling came to.
            let expected: &[Fate] = match &ended {
                Ended::Returned(Outcome::Done) => &[Fate::Done],
                Ended::Returned(Outcome::RescheduleTo(_)) | Ended::EngineFailed => &[Fate::Rescheduled, Fate::Dead],
                Ended::Returned(Outcome::Advance(_)) => &[Fate::Advanced, Fate::Dead],
                Ended::Returned(Outcome::DeadLetter(_)) => unreachable!("it says why"),
                Ended::DeadLettered(_) => &[Fate::Dead],
                Ended::Returned(Outcome::RetryAfter(_)) | Ended::Failed(_) => {
                    match (policy.retry.is_exhausted(attempt + 1), policy.exhausted) {
                        (false, _) => &[Fate::Retried, Fate::Dead],
                        (true, Exhausted::Discard) => &[Fate::Discarded],
                        (true, Exhausted::DeadLetter) => &[Fate::Dead],
                    }
                }
                Ended::NoEvent => &[Fate::Malformed],
                Ended::Misplaced => &[Fate::Moved],
            };
            prop_assert!(expected.contains(&fate), "{:?}: {}", ended, fate);
            if expected.len() > 1 && room > 4_300 {
                prop_assert_eq!(fate, expected[0], "there was room");
            }
            prop_assert!(!fate.is_postponed() || !ended.is_final_before_it_is_recorded());
            match fate {
                Fate::Done if history_seconds == 0 => prop_assert!(after.is_none()),
                Fate::Done => {
                    let (event, kept) = after.unwrap();
                    let done = event.done.as_ref();
                    prop_assert!(done.is_some() || kept == row && room < 200, "there was room");
                    if let Some(Completion { outcome, worker, duration_millis, .. }) = done {
                        prop_assert_eq!((&**outcome, *worker, *duration_millis), ("done", by().worker, Some(17)));
                        let as_before = TitoEvent { done: None, ..event }.encode().unwrap();
                        prop_assert_eq!(as_before, before.encode().unwrap());
                    }
                }
                Fate::Discarded => prop_assert_eq!(place, None),
                Fate::Malformed | Fate::Moved => prop_assert_eq!(after.unwrap().1, row),
                Fate::Dead => {
                    let (event, kept) = after.unwrap();
                    prop_assert_eq!((event.timestamp, event.not_before), (second, not_before), "it is redriven there");
                    prop_assert!(kept == row || event.failed_attempts == attempt + 1);
                    if kept != row {
                        let failure = event.failures.last().unwrap();
                        prop_assert_eq!((failure.worker, failure.duration_millis), (by().worker, Some(17)));
                        prop_assert_eq!(failure.fingerprint.as_deref().map(str::len), Some(16));
                    }
                    prop_assert_eq!(place.unwrap().second, NOW);
                }
                _ => {
                    let (event, _) = after.unwrap();
                    if let Ended::Returned(Outcome::Advance(step)) = &ended {
                        let next = step.applied_to(before.clone(), rules.now).unwrap();
                        prop_assert_eq!((event.failed_attempts, event.failures.len()), (0, 0));
                        let (payload, wanted) = (event.payload.unwrap(), next.payload.unwrap());
                        prop_assert_eq!(payload.get(), wanted.get());
                        prop_assert_eq!(event.headers.get("step").map(String::as_str), Some("2"));
                        let done: Vec<_> = event.steps.iter().map(|step| (step.attempt, step.timestamp)).collect();
                        prop_assert_eq!(done, [(attempt + 1, NOW)]);
                    } else {
                        prop_assert_eq!(event.failed_attempts, attempt + u32::from(fate == Fate::Retried));
                    }
                    prop_assert!(event.failures.len() <= FAILURES_KEPT.max(before.failures.len()));
                    prop_assert_eq!(&event.unknown, &before.unknown);
                    let due = match policy.order {
                        Order::Strict => {
                            prop_assert_eq!(event.timestamp, second, "it keeps its place");
                            event.not_before.unwrap()
                        }
                        _ => {
                            prop_assert_eq!(event.not_before, None);
                            event.timestamp
                        }
                    };
                    prop_assert!(due >= NOW - policy.delay_seconds, "not before the present of its subscription");
                    prop_assert!(due <= keys::MAX_EVENT_SECONDS);
                }
            }
        }
    }

    #[test]
    fn bytes_that_are_no_event_are_kept_as_they_are() {
        let policy = Policy {
            retry: RetryPolicy::default(),
            exhausted: Exhausted::Discard,
            order: Order::Relaxed,
            most_deaths: 5,
            delay_seconds: 0,
        };
        let (id, now) = (Uuid::from_u128(1), Now::from_millis(NOW as u64 * 1_000));
        let rules = Rules {
            policy: &policy,
            topic: &Topic::unused(),
            partition: 3,
            handled_by: by(),
            id: &|| id,
            most_bytes: 9,
            now,
            random: 0.5,
        };
        let place = Place { kind: Kind::Dead, partition: 3, second: NOW, id };
        for ended in [Ended::NoEvent, Ended::failed("no".to_string()), Ended::Misplaced] {
            let decided = decide(b"event:", b"nonsense".to_vec(), &ended, &rules).unwrap();
            let row = Some((place, b"nonsense".to_vec()));
            assert_eq!(decided, Decided { fate: Fate::Malformed, row, failure: None });
        }
    }
}
