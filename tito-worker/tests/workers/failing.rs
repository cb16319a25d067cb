//! What becomes of events that fail.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tito_core::event::TitoEvent;
use tito_core::prelude::*;
use tito_testkit::{Gate, Harness, TestClock};
use tito_worker::Redriven;
use tito_worker::keys;
use tito_worker::prelude::*;
use tito_worker::{Outcome, RetryPolicy, Subscription};

use crate::support::*;

fn retry(attempts: u32) -> Subscription {
    Subscription::default().retry(RetryPolicy::default().attempts(attempts).jitter(0.0))
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[fact]
pub async fn failures_are_recorded_and_tried_again_by_the_policy(db: Database, clock: TestClock) {
    let begin = (tito_core::clock::Clock::now_millis(&clock) / 1000) as i64;
    publish(&db, [job("a").header("trace", "17")]).await;
    let mut harness = Harness::new(&db, &clock).subscribe_with("job", retry(4), |event: TitoEvent| async move {
        Done::Err(error(format!("failure {}", event.failed_attempts + 1)))
    });
    let mut attempts = vec![harness.drain().await.unwrap()];
    for delay in [1, 2, 4] {
        assert_eq!(harness.advance(seconds(delay) - Duration::from_millis(1)).await.unwrap().len(), 0);
        attempts.push(harness.advance(Duration::from_millis(1)).await.unwrap());
    }
    assert_eq!(harness.advance(seconds(100_000)).await.unwrap().len(), 0);
    let seen: Vec<_> = attempts
        .iter()
        .flatten()
        .map(|handled| (handled.event.failed_attempts, handled.event.failures.len()))
        .collect();
    assert_eq!(seen, [(0, 0), (1, 1), (2, 2), (3, 3)]);
    let counted: Vec<_> = attempts.iter().flatten().map(|handled| handled.event.attempt()).collect();
    assert_eq!(counted, [1, 2, 3, 4]);
    assert_eq!((harness.report().retried, harness.report().dead), (3, 1));

    let letters = TitoQueue::new(db.clone()).dead_letters("job", 10, None).await.unwrap();
    let event = letters[0].event.as_ref().unwrap();
    assert_eq!((letters.len(), event.failed_attempts, event.headers["trace"].as_str()), (1, 4, "17"));
    let failures: Vec<_> = event.failures.iter().map(|failure| (failure.attempt, failure.timestamp - begin)).collect();
    assert_eq!(failures, [(1, 0), (2, 1), (3, 3), (4, 7)]);
    assert!(event.failures[2].error.contains("failure 3"), "{:?}", event.failures);
    assert_eq!(stored(&db, "event:").await.len(), 0);
}

#[fact]
pub async fn a_handler_chooses_when_it_is_tried_again(db: Database, clock: TestClock) {
    publish(&db, [job("a")]).await;
    let mut harness = Harness::new(&db, &clock).subscribe_with("job", retry(3), |_: TitoEvent| async {
        Ok::<_, TitoError>(Outcome::RetryAfter(Duration::from_millis(90_500)))
    });
    assert_eq!(harness.drain().await.unwrap().len(), 1);
    assert_eq!(harness.advance(seconds(90)).await.unwrap().len(), 0);
    assert_eq!(harness.advance(seconds(1)).await.unwrap()[0].event.failed_attempts, 1);
    assert_eq!(harness.advance(seconds(91)).await.unwrap()[0].event.failed_attempts, 2);
    assert_eq!(harness.report().dead, 1, "it counts as an attempt");
}

#[fact]
pub async fn an_event_postponed_is_handled_then_and_has_all_its_attempts(db: Database, clock: TestClock) {
    publish(&db, [job("a")]).await;
    let at = (tito_core::clock::Clock::now_millis(&clock) / 1000) as i64 + 3600;
    let mut harness = Harness::new(&db, &clock).subscribe_with("job", retry(1), move |event: TitoEvent| async move {
        Ok::<_, TitoError>(if event.timestamp < at { Outcome::RescheduleTo(at_second(at)) } else { Outcome::Done })
    });
    assert_eq!(harness.drain().await.unwrap().len(), 1);
    assert_eq!(harness.advance(seconds(3599)).await.unwrap().len(), 0);
    let handled = harness.advance(seconds(1)).await.unwrap();
    assert_eq!((handled.len(), handled[0].event.failed_attempts, handled[0].event.failures.len()), (1, 0, 0));
    assert_eq!((harness.report().rescheduled, harness.report().done), (1, 1));
}

#[fact]
pub async fn retries_without_a_delay_are_made_at_once(db: Database, clock: TestClock) {
    clock.must_stand_still();
    publish(&db, (0..50).map(job)).await;
    let options = Subscription::default().retry(RetryPolicy::default().attempts(5).first_delay(Duration::ZERO));
    let mut harness =
        Harness::new(&db, &clock).subscribe_with("job", options, |_: TitoEvent| async { Done::Err(error("no")) });
    assert_eq!(harness.drain().await.unwrap().len(), 250);
    assert_eq!((harness.report().retried, harness.report().dead), (200, 50));
}

#[fact]
pub async fn an_event_goes_to_the_dead_letters_for_a_reason(db: Database, clock: TestClock) {
    publish(&db, [job("a")]).await;
    let mut harness = Harness::new(&db, &clock).subscribe("job", |_: TitoEvent| async {
        Ok::<_, TitoError>(Outcome::DeadLetter("unknown address".to_string()))
    });
    harness.drain().await.unwrap();
    let letters = TitoQueue::new(db.clone()).dead_letters("job", 10, None).await.unwrap();
    assert_eq!(letters[0].event.as_ref().unwrap().failures[0].error, "unknown address");
}

#[fact]
pub async fn dead_letters_are_listed_redriven_and_purged_in_any_number(db: Database, clock: TestClock) {
    let queue = TitoQueue::new(db.clone());
    publish(&db, (0..450).map(job)).await;
    let fails = Arc::new(AtomicBool::new(true));
    let mut harness = {
        let fails = fails.clone();
        Harness::new(&db, &clock).subscribe_with("job", retry(1), move |_: TitoEvent| {
            let fails = fails.load(Ordering::SeqCst);
            async move { if fails { Err(error("no")) } else { Ok(()) } }
        })
    };
    harness.drain().await.unwrap();
    put(&db, "dead:job:0003:1767225600:nonsense", "nonsense").await;

    let mut listed = Vec::new();
    loop {
        let page = queue
            .dead_letters("job", 100, listed.last().map(|letter: &tito_worker::DeadLetter| &letter.key))
            .await
            .unwrap();
        if page.is_empty() {
            break;
        }
        listed.extend(page);
    }
    assert_eq!(listed.len(), 451);
    assert!(listed.is_sorted_by_key(|letter| letter.key.as_bytes().to_vec()));
    assert_eq!(listed.iter().filter(|letter| letter.event.is_none()).count(), 1);

    let one = listed[17].event.clone().unwrap();
    assert!(queue.redrive("job", one.id).await.unwrap());
    assert!(!queue.redrive("job", one.id).await.unwrap());
    fails.store(false, Ordering::SeqCst);
    let handled = harness.drain().await.unwrap();
    assert_eq!(handled.len(), 1);
    assert_eq!((handled[0].event.id, handled[0].event.failed_attempts), (one.id, 0));
    assert_eq!(handled[0].event.failures.len(), 1, "what had gone wrong is not forgotten");

    let redriven = queue.redrive_all("job").await.unwrap();
    assert_eq!((redriven.events, redriven.skipped), (449, 1));
    assert_eq!(harness.drain().await.unwrap().len(), 449);
    assert_eq!(queue.redrive_all("job").await.unwrap().events, Redriven::default().events);

    for number in 0..401 {
        put(&db, format!("dead:job:0000:0000000001:{number}"), "x").await;
    }
    assert_eq!(queue.purge_dead_letters("job").await.unwrap(), 402);
    assert_eq!(queue.dead_letters("job", 10, None).await.unwrap().len(), 0);
}

#[fact]
pub async fn panics_are_failures(db: Database, clock: TestClock) {
    publish(&db, [job("closure"), job("future"), job("fine")]).await;
    let mut harness = Harness::new(&db, &clock).subscribe_with("job", retry(1), |event: TitoEvent| {
        assert!(event.entity != "closure", "in the closure");
        async move {
            assert!(event.entity != "future", "in the future");
            Done::Ok(())
        }
    });
    assert_eq!(harness.drain().await.unwrap().len(), 3);
    assert_eq!((harness.report().done, harness.report().dead), (1, 2));
    let letters = TitoQueue::new(db.clone()).dead_letters("job", 10, None).await.unwrap();
    for letter in letters {
        let event = letter.event.unwrap();
        assert!(event.failures[0].error.contains(&format!("in the {}", event.entity)), "{:?}", event.failures);
    }
}

#[fact]
pub async fn a_handler_that_takes_too_long_is_dropped_and_tried_again(db: Database, clock: TestClock) {
    publish(&db, [job("a")]).await;
    let gate = Gate::new();
    let handler = {
        let gate = gate.clone();
        move |event: TitoEvent| {
            let gate = gate.clone();
            async move {
                if event.failed_attempts == 0 {
                    gate.pass().await;
                }
                Done::Ok(())
            }
        }
    };
    let mut harness = Harness::new(&db, &clock).subscribe_with("job", retry(2).timeout(seconds(5)), handler);
    let draining = tokio::spawn(async move { (harness.drain().await, harness) });
    gate.arrivals(1).await;
    clock.advance(seconds(5));
    let (handled, mut harness) = draining.await.unwrap();
    assert_eq!(handled.unwrap().len(), 1);
    let handled = harness.advance(seconds(1)).await.unwrap();
    assert_eq!(handled[0].outcome, Ok(Outcome::Done));
    assert!(handled[0].event.failures[0].error.contains("5s"), "{:?}", handled[0].event.failures);
}

#[fact]
pub async fn hostile_errors_are_cut_and_kept(db: Database, clock: TestClock) {
    let texts = [
        "x".repeat(10 << 20),
        "\u{1}".repeat(100_000),
        "\u{1F600}".repeat(1000),
        format!("a{}", "\u{1F600}".repeat(1000)),
        String::new(),
    ];
    publish(&db, (0..texts.len()).map(job)).await;
    let count = texts.len();
    let mut harness = Harness::new(&db, &clock).subscribe_with("job", retry(10), move |event: TitoEvent| {
        let text = texts[event.entity.parse::<usize>().unwrap()].clone();
        async move { Err::<(), tito_core::BoxError>(text.into()) }
    });
    let mut all = 0;
    for _ in 0..20 {
        all += harness.advance(seconds(3600)).await.unwrap().len();
    }
    assert_eq!(all, count * 10);
    assert_eq!(harness.report().dead, count as u64);
    for letter in TitoQueue::new(db.clone()).dead_letters("job", 10, None).await.unwrap() {
        let event = letter.event.unwrap();
        assert_eq!((event.failed_attempts, event.failures.len()), (10, 5));
        assert!(event.failures.iter().all(|failure| failure.error.len() <= 500));
    }
}

#[fact]
pub async fn huge_events_that_fail_together_are_all_tried_again(db: Database, clock: TestClock) {
    clock.must_stand_still();
    with_one_partition(&db).await;
    let payload = "x".repeat(950_000);
    for entity in 0..60 {
        publish(&db, [job(entity).payload(&payload).unwrap()]).await;
    }
    let fails = Arc::new(AtomicBool::new(true));
    let handler = {
        let fails = fails.clone();
        move |_: TitoEvent| {
            let fails = fails.load(Ordering::SeqCst);
            async move { if fails { Err(error("\u{1}".repeat(500))) } else { Ok(()) } }
        }
    };
    let mut harness = Harness::new(&db, &clock).subscribe_with("job", retry(2), handler);
    assert_eq!(harness.drain().await.unwrap().len(), 60);
    assert_eq!(harness.report().retried, 60);
    assert_eq!(harness.advance(seconds(1)).await.unwrap().len(), 60);
    assert_eq!(harness.report().dead, 60);
    let queue = TitoQueue::new(db.clone());
    assert_eq!(queue.redrive_all("job").await.unwrap().events, 60);
    fails.store(false, Ordering::SeqCst);
    assert_eq!(harness.drain().await.unwrap().len(), 60);
}

#[fact]
pub async fn what_is_no_event_becomes_a_dead_letter_and_the_others_go_on(db: Database, clock: TestClock) {
    with_one_partition(&db).await;
    publish(&db, (0..10).map(job)).await;
    let id = "019b76da-a800-7000-8000-000000000000";
    let whole = format!(r#"{{"id":"{id}","type":"job","entity":"e","action":"a","timestamp":1}}"#);
    let mut malformed: Vec<(String, Vec<u8>)> = Vec::new();
    for (number, value) in
        [&b"nonsense"[..], b"", b"{}", b"null", b"[1]", b"\xff\xfe", &whole.as_bytes()[..50]].into_iter().enumerate()
    {
        let id = uuid::Uuid::from_u128(0x019b_76da_a800_7000_8000_0000_0000_0001 + number as u128);
        malformed.push((String::from_utf8(keys::event("job", 0, 1_700_000_000, id)).unwrap(), value.to_vec()));
    }
    // What says when and where it is to be handed out can be read, the rest can't.
    for (number, rest) in
        ["", r#","action":"a""#, r#","action":"a","type":"job","timestamp":1,"attempt":-1"#].iter().enumerate()
    {
        let id = uuid::Uuid::from_u128(0x019b_76da_a800_7000_8000_0000_0000_0101 + number as u128);
        let value = format!(r#"{{"id":"{id}","entity":"job:1"{rest}}}"#);
        malformed.push((String::from_utf8(keys::event("job", 0, 1_700_000_000, id)).unwrap(), value.into_bytes()));
    }
    // The key of one event, and the id of another.
    malformed.push((format!("event:job:0000:0000000007:{}", uuid::Uuid::from_u128(9)), whole.clone().into_bytes()));
    for key in [
        "event:job:0000:",
        "event:job:0000:!",
        "event:job:0000:0000000001:x",
        "event:job:0000:1:2:3",
        "event:job:0000:zzz",
    ] {
        malformed.push((key.to_string(), whole.clone().into_bytes()));
    }
    for (key, value) in malformed.clone() {
        put(&db, key, value).await;
    }
    let mut harness = Harness::new(&db, &clock).subscribe("job", |_: TitoEvent| async { Done::Ok(()) });
    assert_eq!(harness.drain().await.unwrap().len(), 10);
    assert_eq!((harness.report().done, harness.report().malformed), (10, malformed.len() as u64));
    assert_eq!(stored(&db, "event:").await.len(), 0);
    let letters = TitoQueue::new(db.clone()).dead_letters("job", 100, None).await.unwrap();
    let mut bytes: Vec<_> = letters.into_iter().map(|letter| letter.bytes).collect();
    let mut expected: Vec<_> = malformed.into_iter().map(|(_, value)| value).collect();
    bytes.sort();
    expected.sort();
    assert_eq!(bytes, expected);
}

#[fact]
pub async fn an_error_that_panics_when_it_is_written_out_is_a_failure(db: Database, clock: TestClock) {
    #[derive(Debug)]
    struct Hostile;
    impl std::fmt::Display for Hostile {
        fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            panic!("no words")
        }
    }
    impl std::error::Error for Hostile {}

    publish(&db, [job("a"), job("b")]).await;
    let worker = Worker::builder(TitoQueue::new(db.clone()))
        .subscribe(
            "job",
            |event: TitoEvent| async move { if event.failed_attempts == 0 { Err(Hostile) } else { Ok(()) } },
        )
        .build();
    assert_eq!(worker.drain().await.unwrap().retried, 2);
    clock.advance(Duration::from_secs(2));
    assert_eq!(worker.drain().await.unwrap().done, 2);
}
