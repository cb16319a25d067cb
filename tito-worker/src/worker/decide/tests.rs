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
    let wait = (0..5_000_u64).prop_map(|millis| Ended::Returned(Outcome::RetryAfter(Duration::from_millis(millis))));
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
        let decided = decide(&key, row.as_slice().into(), &ended, &rules).unwrap();
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
        let decided = decide(b"event:", b"nonsense".as_slice().into(), &ended, &rules).unwrap();
        let row = Some((place, b"nonsense".to_vec()));
        assert_eq!(decided, Decided { fate: Fate::Malformed, row, failure: None });
    }
}
