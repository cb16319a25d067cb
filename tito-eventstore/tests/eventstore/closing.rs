//! An engine that is closed ends every wait, at once and with the error that says so. On one thread: a wait that is polled
//! when the engine is closed began before.

use std::time::Duration;

use futures::{FutureExt, StreamExt};
use tito_core::prelude::*;
use tito_eventstore::{EventStore, EventStoreConfig, EventStoreError, Manager, OnError, Select, Watch};
use tito_testkit::{Call, FaultEngine, TestClock, WithFaults};

use crate::support::*;

/// So that a fact that would wait for ever fails.
const PATIENCE: Duration = Duration::from_secs(60);

fn is_closed(error: &EventStoreError) -> bool {
    matches!(error, EventStoreError::Engine(TitoError::EngineClosed { .. }))
}

/// What a wait comes to that is under way when the engine is closed. It has to be one that would never end.
async fn closed_while<T>(db: &Database, wait: impl Future<Output = T>) -> T {
    let mut wait = Box::pin(wait);
    // Enough for what it does before it waits.
    for _ in 0..200 {
        assert!((&mut wait).now_or_never().is_none(), "it waits");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let closing = async { tokio::join!(db.close(), wait).1 };
    tokio::time::timeout(PATIENCE, closing).await.expect("it ends")
}

#[fact]
pub async fn a_tail_ends(db: Database, _: TestClock) {
    let store = store(&db).await;
    store.append(event("a.1", "x")).await.unwrap();
    let mut tail = store.tail(Select::all());
    assert_eq!(tail.next().await.unwrap().unwrap().sequence(), 1);
    let error = closed_while(&db, tail.next()).await.unwrap().unwrap_err();
    assert!(is_closed(&error), "{error:?}");
    assert!(tail.next().await.is_none());
}

#[fact]
pub async fn a_tail_that_polls_ends(db: Database, _: TestClock) {
    let store = store(&FaultEngine::new(db.clone()).with_foreign_writers().database()).await;
    let mut tail = store.tail(Select::all());
    let error = closed_while(&db, tail.next()).await.unwrap().unwrap_err();
    assert!(is_closed(&error), "{error:?}");
}

#[fact]
pub async fn a_watcher_ends_and_whoever_waits_for_it_learns_of_it(db: Database, _: TestClock) {
    let store = store(&db).await;
    let watcher = store.watch(Seen::default(), "a").await.unwrap();
    assert!(!closed_while(&db, watcher.reached(1)).await);
    let error = watcher.stop().await.unwrap_err();
    assert!(is_closed(&error), "{error:?}");
}

#[fact]
pub async fn a_watcher_that_rests_ends(db: Database, _: TestClock) {
    // With a clock of its own that stands still.
    let clock = tito_testkit::TestClock::new();
    let store = store(&FaultEngine::new(db.clone()).with_clock(clock.shared()).database()).await;
    store.append(event("a.1", "poison")).await.unwrap();
    let watch = Watch::filter("a").no_wait().on_error(|_| OnError::TryAgain);
    let watcher = store.watch(Seen::default(), watch).await.unwrap();
    assert!(!closed_while(&db, watcher.reached(1)).await);
    let error = watcher.stop().await.unwrap_err();
    assert!(is_closed(&error), "{error:?}");
}

#[fact]
pub async fn a_watcher_that_waits_for_the_engine_ends(db: Database, _: TestClock) {
    let faulty = FaultEngine::new(db.clone()).database();
    let store = store(&faulty).await;
    let watcher = store.watch(Seen::default(), "a").await.unwrap();
    faulty.faults().at(Call::Scan).always().storage_error();
    store.append(event("a.1", "x")).await.unwrap();
    assert!(!closed_while(&db, watcher.reached(1)).await);
    let error = watcher.stop().await.unwrap_err();
    assert!(is_closed(&error), "{error:?}");
}

#[fact]
pub async fn catching_up_ends(db: Database, _: TestClock) {
    let clock = tito_testkit::TestClock::new();
    let store = store(&FaultEngine::new(db.clone()).with_clock(clock.shared()).database()).await;
    store.append(event("a.1", "poison")).await.unwrap();
    let watch = Watch::filter("a").on_error(|_| OnError::TryAgain);
    let error = closed_while(&db, store.watch(Seen::default(), watch)).await.unwrap_err();
    assert!(is_closed(&error), "{error:?}");
}

/// Holds the turn of a store for ever.
async fn hold(store: &EventStore) -> tokio::task::JoinHandle<()> {
    let (held, is_held) = tokio::sync::oneshot::channel();
    let held = std::sync::Arc::new(std::sync::Mutex::new(Some(held)));
    let store = store.clone();
    let holding = tokio::spawn(async move {
        let hold = |_| async move {
            if let Some(held) = held.lock().unwrap().take() {
                held.send(()).unwrap();
            }
            std::future::pending::<Result<(), TitoError>>().await
        };
        store.transaction(hold).await.unwrap();
    });
    is_held.await.unwrap();
    holding
}

#[fact]
pub async fn an_append_that_waits_for_a_turn_ends(db: Database, _: TestClock) {
    let store = store(&db).await;
    let holding = hold(&store).await;
    let error = closed_while(&db, store.append(event("a.1", "x"))).await.unwrap_err();
    assert!(is_closed(&error), "{error:?}");
    holding.abort();
}

#[fact]
pub async fn an_append_that_waits_for_a_runtime_that_is_not_driven_ends(db: Database, _: TestClock) {
    let store = store(&db).await;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut first = Box::pin(store.append(event("a.1", "x")));
    {
        let _entered = runtime.enter();
        assert!((&mut first).now_or_never().is_none());
    }
    let both = futures::future::join(first, store.append(event("a.1", "y")));
    let (first, second) = closed_while(&db, both).await;
    for error in [first.unwrap_err(), second.unwrap_err()] {
        assert!(is_closed(&error), "{error:?}");
    }
    runtime.shutdown_background();
}

#[fact]
pub async fn an_append_that_looks_into_an_unknown_outcome_ends(db: Database, _: TestClock) {
    let faulty = FaultEngine::new(db.clone()).database();
    let store = store(&faulty).await;
    faulty.faults().at(Call::Commit).unknown_without_effect();
    let gate = faulty.faults().at(Call::Commit).nth(2).hold();
    let mut append = Box::pin(store.append(event("a.1", "x")));
    tokio::select! {
        outcome = &mut append => panic!("{outcome:?}"),
        () = gate.arrivals(1) => {}
    }
    db.close().await;
    gate.open();
    let error = tokio::time::timeout(PATIENCE, append).await.expect("it ends").unwrap_err();
    // Nobody can say any more.
    assert!(matches!(&error, EventStoreError::Engine(TitoError::CommitUnknown { .. })));
}

#[fact]
pub async fn changes_of_a_store_that_wait_for_a_turn_end(db: Database, _: TestClock) {
    let manager = Manager::new(db.clone());
    let store = manager.create_event_store(EventStoreConfig::new("bank")).await.unwrap();
    let holding = hold(&store).await;
    let update = manager.update_event_store(EventStoreConfig::new("bank").description("of a town"));
    let both = futures::future::join(update, manager.delete_event_store("bank"));
    let (updated, deleted) = closed_while(&db, both).await;
    for error in [updated.map(|_| ()).unwrap_err(), deleted.unwrap_err()] {
        assert!(is_closed(&error), "{error:?}");
    }
    holding.abort();
}

#[fact]
pub async fn what_begins_afterwards_ends(db: Database, _: TestClock) {
    let store = store(&db).await;
    let mut tail = store.tail(Select::all());
    db.close().await;
    assert!(is_closed(&tail.next().await.unwrap().unwrap_err()));
    assert!(is_closed(&store.append(event("a.1", "x")).await.unwrap_err()));
    assert!(is_closed(&store.watch(Seen::default(), "a").await.unwrap_err()));
    let watcher = store.watch(Seen::default(), Watch::filter("a").no_wait()).await.unwrap();
    assert!(!watcher.reached(1).await);
    assert!(is_closed(&watcher.stop().await.unwrap_err()));
}
