//! Look at, remove, names.

use std::time::Duration;

use tito_core::prelude::*;
use tito_eventstore::{Event, EventStoreError, Manager, ReactFrom};
use tito_testkit::{Call, FaultEngine, TestClock, WithFaults};
use tito_worker::Outcome;
use tito_worker::prelude::*;

use crate::support::*;

#[fact]
pub async fn removing_a_reactor_removes_all_that_there_is_of_it(db: Database, clock: TestClock) {
    let bank = bank(&db).await;
    append_many(&bank, 10, 2).await;
    let (reactor, notes) = (mailer(&bank).await, Notes::failing(|_, _| Err("never".into())));
    let before = stored(&db, "log:").await;
    notes.harness(&db, &clock, &reactor).drain().await.unwrap();
    TitoQueue::new(db.clone()).redrive_all("bank.mailer").await.unwrap();
    assert_eq!(in_queue(&db).await, (10, 0));
    assert!(bank.remove_reactor("mailer").await.unwrap());
    assert!(!bank.remove_reactor("mailer").await.unwrap());
    assert_eq!(stored(&db, "event:bank.mailer:").await, []);
    assert_eq!(stored(&db, "dead:bank.mailer:").await, []);
    assert_eq!(stored(&db, "log:").await.len(), before.len() - 1);
    let error = bank.reactor("mailer").await.unwrap_err();
    assert!(matches!(&error, EventStoreError::ReactorNotFound { reactor, .. } if reactor == "mailer"), "{error}");
    let error = bank.replay_reactor("mailer", ReactFrom::First).await.unwrap_err();
    assert_eq!(error.to_string(), r#"event store "bank" has no reactor "mailer""#);
    // Its worker has nothing to do, until it is there again.
    notes.clear();
    let mut harness = notes.harness(&db, &clock, &reactor);
    harness.drain().await.unwrap();
    assert!(notes.sequences().is_empty());
    bank.react("mailer", "account", ReactFrom::Sequence(9)).await.unwrap();
    harness.drain().await.unwrap();
    assert_eq!(notes.sequences(), [9, 10]);
}

/// The topic is emptied after the reactor is gone, and by then there can be another of its name.
#[fact]
pub async fn a_reactor_that_is_created_while_one_of_its_name_is_removed_keeps_what_it_has(
    db: Database,
    clock: TestClock,
) {
    let bank = bank(&db).await;
    append_many(&bank, 4, 2).await;
    let given_up = |event: &Event, _| match event.entity() {
        "account.0" => Ok(Outcome::DeadLetter("never".into())),
        _ => Err("not now".into()),
    };
    let (reactor, notes) = (mailer(&bank).await, Notes::failing(given_up));
    notes.harness(&db, &clock, &reactor).drain().await.unwrap();
    assert_eq!(in_queue(&db).await, (2, 2));
    let faulty = FaultEngine::new(db.clone()).database();
    let removed = bank_of(&faulty).await;
    // The first one removes the reactor.
    let gate = faulty.faults().at(Call::Begin).nth(2).hold();
    let removal = tokio::spawn(async move { removed.remove_reactor("mailer").await });
    gate.arrivals(1).await;
    assert!(bank.reactors().await.unwrap().is_empty());
    let reactor = bank.react("mailer", "account", ReactFrom::Sequence(2)).await.unwrap();
    notes.harness(&db, &clock, &reactor).drain().await.unwrap();
    assert_eq!(in_queue(&db).await, (2 + 2, 2 + 1));
    gate.open();
    assert!(removal.await.unwrap().unwrap());
    assert_eq!(in_queue(&db).await, (2, 1));
    TitoQueue::new(db.clone()).redrive_all("bank.mailer").await.unwrap();
    notes.go_by(|_, _| Ok(Outcome::Done));
    notes.clear();
    let mut harness = notes.harness(&db, &clock, &reactor);
    harness.drain().await.unwrap();
    harness.advance(Duration::from_secs(600)).await.unwrap();
    assert_eq!((notes.of("account.0"), notes.of("account.1")), (vec![3], vec![2, 4]));
}

#[fact]
pub async fn a_worker_that_runs_notices_that_its_reactor_is_removed_and_there_again(db: Database, _: TestClock) {
    let bank = bank(&db).await;
    append_many(&bank, 10, 2).await;
    let (reactor, notes) = (mailer(&bank).await, Notes::new());
    let running = Running::start(notes.subscribe(worker(&db), &reactor));
    until_caught_up(&bank).await;
    bank.remove_reactor("mailer").await.unwrap();
    append_many(&bank, 10, 2).await;
    mailer(&bank).await;
    until_caught_up(&bank).await;
    append_many(&bank, 5, 2).await;
    until_caught_up(&bank).await;
    running.stop().await;
    let mut handed = notes.sequences();
    handed.sort_unstable();
    handed.dedup();
    assert_eq!(handed, (1..=25).collect::<Vec<_>>());
}

#[fact]
pub async fn names_are_checked_and_not_shared_with_projections(db: Database, _: TestClock) {
    let bank = bank(&db).await;
    for bad in ["", "a.b", "a:b", "a@b"] {
        let error = bank.react(bad, "account", ReactFrom::First).await.unwrap_err();
        let EventStoreError::Engine(error) = error else { panic!("{error}") };
        assert!(matches!(error, TitoError::InvalidName { .. }), "{error}");
    }
    bank.add_projection("accounts").await.unwrap();
    let error = bank.react("accounts", "account", ReactFrom::First).await.unwrap_err();
    assert!(error.to_string().contains("a projection of the store has it"), "{error}");
    bank.react("mailer", "account", ReactFrom::First).await.unwrap();
    let error = bank.add_projection("mailer").await.unwrap_err();
    assert!(error.to_string().contains("a reactor of the store has it"), "{error}");
    assert!(!bank.remove_reactor("accounts").await.unwrap());
    assert_eq!(bank.reactors().await.unwrap(), ["mailer"]);
    assert_eq!(bank.projections().await.unwrap(), ["accounts"]);
}

#[fact]
pub async fn a_store_that_is_deleted_takes_its_reactors_with_it(db: Database, clock: TestClock) {
    let bank = bank(&db).await;
    append_many(&bank, 10, 2).await;
    let (reactor, notes) = (mailer(&bank).await, Notes::failing(|_, _| Err("never".into())));
    let mut harness = notes.harness(&db, &clock, &reactor);
    harness.drain().await.unwrap();
    let manager = Manager::new(db.clone());
    manager.delete_event_store("bank").await.unwrap();
    manager.sweep().await.unwrap();
    assert_eq!(stored(&db, "log:").await, []);
    notes.clear();
    for _ in 0..3 {
        harness.advance(std::time::Duration::from_secs(120)).await.unwrap();
    }
    // What waited is no event of anything.
    assert_eq!((notes.sequences(), in_queue(&db).await), (vec![], (0, 0)));
    let later = crate::support::bank(&db).await;
    let error = reactor_of(&bank).await;
    assert!(matches!(error, EventStoreError::StoreNotFound { .. }), "{error}");
    append_many(&later, 3, 1).await;
    let reactor = mailer(&later).await;
    let notes = Notes::new();
    notes.harness(&db, &clock, &reactor).drain().await.unwrap();
    assert_eq!(notes.sequences(), [1, 2, 3]);
}

async fn reactor_of(bank: &tito_eventstore::EventStore) -> EventStoreError {
    bank.reactor("mailer").await.unwrap_err()
}

/// One replay hands out again what lies in the topic, and a later one that begins behind it does not take that back.
#[fact]
pub async fn what_a_replay_has_superseded_no_later_one_brings_back(db: Database, clock: TestClock) {
    let bank = bank(&db).await;
    append_many(&bank, 10, 10).await;
    let (reactor, notes) = (mailer(&bank).await, Notes::new());
    notes.go_by(|event, _| match event.sequence() {
        9 => Ok(Outcome::RetryAfter(Duration::from_secs(600))),
        10 => Ok(Outcome::DeadLetter("not today".into())),
        _ => Ok(Outcome::Done),
    });
    let handled = notes.clone();
    // Counts what is done alone.
    let handler = move |event: Event, tx: tito_core::Transaction| {
        let notes = handled.clone();
        async move {
            let outcome = notes.note(&event)?;
            if matches!(outcome, Outcome::Done) {
                count(&tx, format!("effect:{:08}", event.sequence())).await?;
            }
            Ok::<_, tito_core::BoxError>(outcome)
        }
    };
    let mut harness = tito_testkit::Harness::of(reactor.subscribe(worker(&db), handler), &clock);
    harness.drain().await.unwrap();
    assert_eq!(in_queue(&db).await, (1, 1));
    notes.go_by(|_, _| Ok(Outcome::Done));
    bank.replay_reactor("mailer", ReactFrom::Sequence(9)).await.unwrap();
    harness.drain().await.unwrap();
    bank.replay_reactor("mailer", ReactFrom::New).await.unwrap();
    harness.drain().await.unwrap();
    TitoQueue::new(db.clone()).redrive_all("bank.mailer").await.unwrap();
    harness.drain().await.unwrap();
    harness.advance(Duration::from_secs(1200)).await.unwrap();
    assert_eq!(in_queue(&db).await, (0, 0));
    assert_counted_once(&db, 1..=10).await;
}
