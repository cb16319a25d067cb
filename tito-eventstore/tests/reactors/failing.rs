//! Handlers that fail.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tito_core::prelude::*;
use tito_eventstore::Event;
use tito_testkit::{Harness, TestClock};
use tito_worker::prelude::*;
use tito_worker::{Advance, Order, Outcome, RetryPolicy, Subscription};
use tokio::sync::Notify;

use crate::support::*;

/// Fails on all events of an entity until it has been handed so many of them.
fn failing(entity: &'static str, times: u32) -> Notes {
    Notes::failing(
        move |event, before| {
            if event.entity() == entity && before < times { Err("not yet".into()) } else { Ok(Outcome::Done) }
        },
    )
}

async fn a_failing_event_blocks_its_entity(db: &Database, clock: &TestClock, in_transaction: bool) {
    let bank = bank(db).await;
    append_many(&bank, 30, 3).await;
    let (reactor, notes) = (mailer(&bank).await, Notes::new());
    // Sequence 4 is the second of account.0.
    let times = if in_transaction { 4 } else { 3 };
    notes.go_by(
        move |event, before| {
            if event.sequence() == 4 && before < times { Err("not yet".into()) } else { Ok(Outcome::Done) }
        },
    );
    let mut harness =
        if in_transaction { notes.counting(db, clock, &reactor) } else { notes.harness(db, clock, &reactor) };
    harness.drain().await.unwrap();
    // A transaction that came to nothing had its handlers run, too.
    assert_eq!(notes.once("account.0"), [1, 4]);
    assert_eq!(notes.once("account.1").len() + notes.once("account.2").len(), 20, "others go on");
    assert_eq!(in_queue(db).await, (9, 0));
    assert_eq!(bank.reactor("mailer").await.unwrap().behind(), 0);
    // So does what is appended meanwhile.
    append_many(&bank, 6, 3).await;
    harness.drain().await.unwrap();
    assert_eq!((notes.once("account.0").len(), notes.once("account.1").len()), (2, 12));
    assert_eq!(in_queue(db).await, (11, 0));
    for _ in 0..20 {
        harness.advance(Duration::from_secs(60)).await.unwrap();
    }
    assert_eq!(in_queue(db).await, (0, 0));
    if !in_transaction {
        let mut expected: Vec<_> = (1..=36).step_by(3).collect();
        expected.splice(1..1, [4, 4, 4]);
        assert_eq!(notes.of("account.0"), expected);
        notes.assert_in_order(1..=36);
    }
    // When nothing of the entity waits any more its events come from the store again.
    append_many(&bank, 3, 3).await;
    harness.drain().await.unwrap();
    assert_eq!(notes.of("account.0").last(), Some(&37));
    if in_transaction {
        assert_counted_once(db, 1..=39).await;
    }
}

#[fact]
pub async fn a_failing_event_blocks_only_its_entity_and_is_tried_again_in_its_place(db: Database, clock: TestClock) {
    a_failing_event_blocks_its_entity(&db, &clock, false).await;
}

#[fact]
pub async fn so_does_one_of_a_transactional_handler_whose_effects_are_rolled_back(db: Database, clock: TestClock) {
    a_failing_event_blocks_its_entity(&db, &clock, true).await;
}

#[fact]
pub async fn another_worker_goes_on_with_what_waits_in_the_topic(db: Database, clock: TestClock) {
    let bank = bank(&db).await;
    append_many(&bank, 20, 2).await;
    let (reactor, notes) = (mailer(&bank).await, failing("account.1", 4));
    notes.harness(&db, &clock, &reactor).drain().await.unwrap();
    append_many(&bank, 20, 2).await;
    // A worker that knows nothing of what the first one had in memory.
    notes.harness(&db, &clock, &reactor).drain().await.unwrap();
    assert_eq!(notes.of("account.1"), [2]);
    for _ in 0..200 {
        notes.harness(&db, &clock, &reactor).advance(Duration::from_secs(60)).await.unwrap();
    }
    notes.assert_in_order(1..=40);
    assert_eq!(in_queue(&db).await, (0, 0));
}

async fn gives_up(db: &Database, clock: &TestClock, in_transaction: bool) {
    let bank = bank(db).await;
    append_many(&bank, 9, 3).await;
    let (reactor, notes) = (mailer(&bank).await, Notes::new());
    notes.go_by(|event, _| match event.sequence() {
        2 => Err("never".into()),
        3 => Ok(Outcome::DeadLetter("not at all".to_string())),
        _ => Ok(Outcome::Done),
    });
    let mut harness =
        if in_transaction { notes.counting(db, clock, &reactor) } else { notes.harness(db, clock, &reactor) };
    harness.drain().await.unwrap();
    assert_eq!(in_queue(db).await, (3, 1), "one at once");
    for _ in 0..20 {
        harness.advance(Duration::from_secs(120)).await.unwrap();
    }
    assert_eq!(in_queue(db).await, (0, 2));
    if !in_transaction {
        assert_eq!(notes.of("account.1").len(), 10 + 2, "ten attempts, and those after it");
        notes.assert_in_order(1..=9);
    }
    let queue = TitoQueue::new(db.clone());
    let letters = queue.dead_letters("bank.mailer", 10, None).await.unwrap();
    let mut told = BTreeMap::new();
    for letter in &letters {
        let event = letter.event.as_ref().unwrap();
        told.insert(
            event.entity.clone(),
            (event.action.clone(), event.failed_attempts, event.failures.last().unwrap().error.clone()),
        );
    }
    let expected = [
        ("account.1".to_string(), ("changed".to_string(), 10, "never".to_string())),
        ("account.2".to_string(), ("changed".to_string(), 1, "not at all".to_string())),
    ];
    assert_eq!(told, expected.into());
    // Redriven, they are handled at last.
    notes.go_by(|_, _| Ok(Outcome::Done));
    notes.clear();
    queue.redrive_all("bank.mailer").await.unwrap();
    harness.drain().await.unwrap();
    assert_eq!(in_queue(db).await, (0, 0));
    let mut redriven = notes.sequences();
    redriven.sort_unstable();
    assert_eq!(redriven, [2, 3]);
    append_many(&bank, 3, 3).await;
    harness.drain().await.unwrap();
    assert_eq!(notes.sequences().len(), 5);
    if in_transaction {
        // What failed for good by an outcome had its effects, and has them again.
        db.transaction(|tx| async move { tx.put(b"effect:00000003".to_vec(), b"1".to_vec()).await }).await.unwrap();
        assert_counted_once(db, 1..=12).await;
    }
}

#[fact]
pub async fn an_event_that_fails_too_often_is_a_dead_letter_and_can_be_redriven(db: Database, clock: TestClock) {
    gives_up(&db, &clock, false).await;
}

#[fact]
pub async fn so_it_is_where_the_handler_is_a_transactional_one(db: Database, clock: TestClock) {
    gives_up(&db, &clock, true).await;
}

#[fact]
pub async fn handlers_say_what_becomes_of_an_event(db: Database, clock: TestClock) {
    let bank = bank(&db).await;
    append_many(&bank, 3, 3).await;
    let (reactor, notes) = (mailer(&bank).await, Notes::new());
    let step = Advance::to(&1).unwrap();
    notes.go_by(move |event, before| match (event.sequence(), before) {
        (1, 0) => Ok(Outcome::RetryAfter(Duration::from_secs(100))),
        (2, 0) => Ok(step.clone().into()),
        (3, 0) => panic!("out of order"),
        _ => Ok(Outcome::Done),
    });
    let mut harness = notes.harness(&db, &clock, &reactor);
    harness.drain().await.unwrap();
    let queue = TitoQueue::new(db.clone());
    let waiting = queue.peek("bank.mailer", 10, None).await.unwrap();
    let mut errors: Vec<_> =
        waiting.iter().map(|one| one.event.as_ref().unwrap().failures.last().unwrap().error.clone()).collect();
    errors.sort();
    assert_eq!(
        errors,
        [
            "the handler asked for another attempt",
            "the handler panicked: out of order",
            "what a store has appended can't be advanced"
        ]
    );
    harness.advance(Duration::from_secs(60)).await.unwrap();
    let mut handed = notes.sequences();
    handed.sort_unstable();
    assert_eq!(handed, [1, 2, 2, 3, 3]);
    harness.advance(Duration::from_secs(60)).await.unwrap();
    assert_eq!((notes.of("account.0"), in_queue(&db).await), (vec![1, 1], (0, 0)));
}

#[fact]
pub async fn settings_are_kept_to(db: Database, clock: TestClock) {
    let bank = bank(&db).await;
    append_many(&bank, 8, 2).await;
    let reactor = mailer(&bank).await;
    let notes = failing("account.0", 2);
    let noted = notes.clone();
    let hangs = Arc::new(Notify::new());
    let hanging = hangs.clone();
    let settings = Subscription::default()
        .order(Order::Relaxed)
        .retry(RetryPolicy::default().attempts(2))
        .timeout(Duration::from_secs(5));
    let handler = move |event: Event| {
        let (noted, hanging) = (noted.note(&event), hanging.clone());
        async move {
            if event.sequence() == 8 {
                hanging.notify_one();
                std::future::pending::<()>().await;
            }
            noted
        }
    };
    let builder = reactor.subscribe_with(worker(&db), settings, handler);
    let mut harness = tito_testkit::Harness::of(builder, &clock);
    // The last one ends by its timeout, twice.
    for _ in 0..2 {
        let draining = harness.advance(Duration::from_secs(60));
        tokio::pin!(draining);
        loop {
            tokio::select! {
                biased;
                drained = &mut draining => {
                    drained.unwrap();
                    break;
                }
                () = hangs.notified() => clock.advance(Duration::from_secs(5)),
            }
        }
    }
    // In relaxed order what comes later does not wait.
    assert_eq!(notes.of("account.0")[..4], [1, 3, 5, 7]);
    let report = harness.report();
    assert_eq!((report.done, report.retried, report.dead), (3, 5, 5));
    let letters = TitoQueue::new(db.clone()).dead_letters("bank.mailer", 10, None).await.unwrap();
    let slow = letters.iter().find(|letter| letter.event.as_ref().unwrap().entity == "account.1").unwrap();
    let errors: Vec<_> = slow.event.as_ref().unwrap().failures.iter().map(|failure| failure.error.as_str()).collect();
    assert_eq!(errors, ["the handler did not end within 5s"; 2]);
}

/// What failed moves to another partition, and what comes of its entity later still waits for it.
#[fact]
pub async fn the_order_of_an_entity_is_kept_while_its_topic_gets_more_partitions(db: Database, clock: TestClock) {
    let bank = bank(&db).await;
    let moving = (0..).map(|number| format!("account.{number}"));
    let moving = moving.into_iter().find(|entity| tito_core::keys::partition_of(entity, 8) > 0).unwrap();
    append(&bank, [moving.as_str()]).await;
    let (reactor, notes) = (mailer(&bank).await, Notes::failing(|_, _| Err("not now".into())));
    let retry =
        RetryPolicy::default().first_delay(Duration::from_secs(86_400)).longest_delay(Duration::from_secs(86_400));
    let settings = Subscription::default().order(Order::Strict).retry(retry);
    let handler = {
        let notes = notes.clone();
        move |event: Event| std::future::ready(notes.note(&event))
    };
    let running = Running::start(reactor.subscribe_with(worker(&db), settings, handler));
    until_caught_up(&bank).await;
    assert_eq!(in_queue(&db).await, (1, 0));
    let queue = TitoQueue::new(db.clone());
    let mut resize = std::pin::pin!(queue.resize_topic("bank.mailer", 8));
    let resized = loop {
        tokio::select! {
            biased;
            resized = &mut resize => break resized.unwrap(),
            // Where there could be other writers they are given time to hear of it.
            () = tokio::time::sleep(Duration::from_millis(1)) => clock.advance(Duration::from_millis(20)),
        }
    };
    assert_eq!(resized.moved, 1);
    notes.go_by(|_, _| Ok(Outcome::Done));
    append(&bank, [moving.as_str()]).await;
    until_caught_up(&bank).await;
    assert_eq!((notes.sequences(), in_queue(&db).await), (vec![1], (2, 0)));
    clock.advance(Duration::from_secs(2 * 86_400));
    until(async || in_queue(&db).await == (0, 0)).await;
    running.stop().await;
    assert_eq!(notes.sequences(), [1, 1, 2]);
}

/// Whatever database its error is of: another one may be down, or its handler write a row that everybody writes.
#[fact]
pub async fn a_handler_that_fails_with_an_error_of_a_database_fails_its_event(db: Database, clock: TestClock) {
    let bank = bank(&db).await;
    let errors = [
        TitoError::Conflict { key: b"theirs".to_vec().into() },
        TitoError::EngineClosed { reason: "theirs".to_string() },
        TitoError::RetriesExhausted {
            attempts: 3,
            source: Box::new(TitoError::Conflict { key: b"theirs".to_vec().into() }),
        },
    ];
    let failing = errors.len() as u64;
    append(&bank, (0..6).map(|number| ["account.0", "account.1", "account.2", "account.3"][number % 4])).await;
    let (reactor, notes) = (mailer(&bank).await, Notes::new());
    notes.go_by(move |event, _| match errors.get(event.sequence() as usize - 1) {
        Some(error) => Err(error.clone().into()),
        None => Ok(Outcome::Done),
    });
    let (settings, counting) =
        (Subscription::default().order(Order::Strict).retry(RetryPolicy::default().attempts(3)), notes.clone());
    let handler = move |event: Event, tx: tito_core::Transaction| {
        let notes = counting.clone();
        async move {
            count(&tx, format!("effect:{:08}", event.sequence())).await?;
            notes.note(&event)
        }
    };
    let mut harness = Harness::of(reactor.subscribe_with(worker(&db), settings, handler), &clock);
    for _ in 0..10 {
        harness.advance(Duration::from_secs(120)).await.unwrap();
    }
    assert_eq!(in_queue(&db).await, (0, failing), "each has had its attempts");
    assert_counted_once(&db, failing + 1..=6).await;
}
