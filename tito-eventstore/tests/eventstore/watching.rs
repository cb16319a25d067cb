use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tito_core::BoxError;
use tito_core::prelude::*;
use tito_eventstore::{Event, EventStoreConfig, EventStoreError, Evolver, Manager, Model, Watch};
use tito_testkit::{Call, FaultEngine, TestClock, WithFaults};

use crate::support::*;

#[fact]
pub async fn a_watcher_catches_up_before_it_returns(db: Database, _: TestClock) {
    let store = store(&db).await;
    store.append((0..500).map(|_| event("a.1", "x")).collect::<Vec<_>>()).await.unwrap();
    let model = Model::new(Seen::default());
    let watcher = store.watch(model.clone(), Watch::filter("a").after(100)).await.unwrap();
    assert_eq!(model.with(|seen| seen.0.clone()), (101..=500).collect::<Vec<_>>());
    assert_eq!(watcher.position(), 500);
    watcher.stop().await.unwrap();
}

#[fact]
pub async fn a_watcher_follows(db: Database, _: TestClock) {
    let store = store(&db).await;
    let model = Model::new(Seen::default());
    let watcher = store.watch(model.clone(), Watch::filter("a").or("b.1")).await.unwrap();
    for _ in 0..20 {
        let last = store.append([event("a.1", "x"), event("b.1", "x"), event("b.2", "x")]).await.unwrap();
        assert!(watcher.reached(last).await);
    }
    let expected: Vec<u64> = (1..=60).filter(|sequence| sequence % 3 != 0).collect();
    assert_eq!(model.with(|seen| seen.0.clone()), expected);
    watcher.stop().await.unwrap();
}

#[fact]
pub async fn an_error_in_catching_up_is_returned(db: Database, _: TestClock) {
    let store = store(&db).await;
    store.append([event("a.1", "x"), event("a.1", "poison")]).await.unwrap();
    let error = store.watch(Seen::default(), "a.1").await.unwrap_err();
    assert!(matches!(error, EventStoreError::Evolver { sequence: 2, .. }), "{error:?}");
    // Nothing is blocked by it.
    assert_eq!(store.append(event("a.1", "x")).await.unwrap(), 3);
    let watcher = store.watch(Seen::default(), Watch::filter("a.1").after(2)).await.unwrap();
    assert_eq!(watcher.stop().await.unwrap(), Seen(vec![3]));
}

#[fact]
pub async fn an_error_while_following_ends_the_watcher(db: Database, _: TestClock) {
    let store = store(&db).await;
    let model = Model::new(Seen::default());
    let watcher = store.watch(model.clone(), "a.1").await.unwrap();
    store.append([event("a.1", "x"), event("a.1", "poison"), event("a.1", "x")]).await.unwrap();
    assert!(!watcher.reached(3).await, "it has ended before");
    let error = watcher.stop().await.unwrap_err();
    assert!(matches!(error, EventStoreError::Evolver { sequence: 2, .. }), "{error:?}");
    assert_eq!(model.with(|seen| seen.0.clone()), [1]);
}

#[fact]
pub async fn an_error_handler_lets_the_watcher_go_on(db: Database, _: TestClock) {
    let store = store(&db).await;
    let told = Arc::new(Mutex::new(Vec::new()));
    let telling = told.clone();
    let watch = Watch::filter("a.1").on_error(move |error| telling.lock().unwrap().push(error.to_string()));
    let watcher = store.watch(Seen::default(), watch).await.unwrap();
    store.append([event("a.1", "x"), event("a.1", "poison"), event("a.1", "x")]).await.unwrap();
    assert!(watcher.reached(3).await);
    assert_eq!(watcher.stop().await.unwrap(), Seen(vec![1, 3]));
    assert_eq!(*told.lock().unwrap(), ["the model can't evolve by event 2, \"poison\" of \"a.1\""]);
}

#[fact]
pub async fn stopping_drains(db: Database, _: TestClock) {
    let store = store(&db).await;
    let watcher = store.watch(Seen::default(), "a").await.unwrap();
    for _ in 0..5 {
        store.append((0..300).map(|_| event("a.1", "x")).collect::<Vec<_>>()).await.unwrap();
    }
    let seen = watcher.stop().await.unwrap();
    assert_eq!(seen.0, (1..=1500).collect::<Vec<_>>());
}

#[fact]
pub async fn a_watcher_that_does_not_wait_returns_at_once(db: Database, _: TestClock) {
    let store = store(&db).await;
    store.append([event("a.1", "poison"), event("a.1", "x")]).await.unwrap();
    let errors = Arc::new(AtomicU32::new(0));
    let count = errors.clone();
    let watch = Watch::filter("a.1").no_wait().on_error(move |_| {
        count.fetch_add(1, Ordering::Relaxed);
    });
    let watcher = store.watch(Seen::default(), watch).await.unwrap();
    assert_eq!(watcher.position(), 0);
    assert!(watcher.reached(2).await);
    assert_eq!(watcher.stop().await.unwrap(), Seen(vec![2]));
    assert_eq!(errors.load(Ordering::Relaxed), 1);
}

#[fact]
pub async fn a_watcher_outlives_errors_of_the_engine(db: Database, clock: TestClock) {
    let db = FaultEngine::new(db).database();
    let store = store(&db).await;
    let watcher = store.watch(Seen::default(), "a").await.unwrap();
    db.faults().at(Call::Scan).nth(1).storage_error();
    db.faults().at(Call::Scan).nth(2).storage_error();
    store.append((0..3).map(|_| event("a.1", "x")).collect::<Vec<_>>()).await.unwrap();
    clock.advance(Duration::from_secs(1));
    assert!(watcher.reached(3).await);
    assert_eq!(watcher.stop().await.unwrap(), Seen(vec![1, 2, 3]));
}

#[fact]
pub async fn a_watcher_ends_with_its_store(db: Database, clock: TestClock) {
    let manager = Manager::new(db);
    let store = manager.create_event_store(EventStoreConfig::new("bank")).await.unwrap();
    let watcher = store.watch(Seen::default(), "a").await.unwrap();
    let last = store.append(event("a.1", "x")).await.unwrap();
    assert!(watcher.reached(last).await);
    manager.delete_event_store("bank").await.unwrap();
    clock.advance(Duration::from_secs(1));
    let reached = tokio::time::timeout(Duration::from_secs(60), watcher.reached(last + 1)).await;
    assert!(!reached.expect("it ends"));
    let error = watcher.stop().await.unwrap_err();
    assert!(matches!(error, EventStoreError::StoreNotFound { .. }), "{error:?}");
}

#[fact]
pub async fn a_watcher_stops_while_the_engine_fails(db: Database, _: TestClock) {
    let db = FaultEngine::new(db).database();
    let store = store(&db).await;
    let watcher = store.watch(Seen::default(), "a").await.unwrap();
    db.faults().at(Call::Get).always().storage_error();
    let stopped = tokio::time::timeout(Duration::from_secs(60), watcher.stop()).await.expect("it stops");
    assert!(matches!(stopped, Err(EventStoreError::Engine(_))), "{stopped:?}");
}

/// A model that panics.
struct Panics;

impl Evolver for Panics {
    fn evolve(&mut self, event: &Event) -> Result<(), BoxError> {
        panic!("a panic at event {}", event.sequence());
    }
}

/// Panics with what panics when it is dropped.
struct Explodes;

struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("dropped");
    }
}

impl Evolver for Explodes {
    fn evolve(&mut self, _: &Event) -> Result<(), BoxError> {
        std::panic::panic_any(Bomb)
    }
}

#[fact]
pub async fn a_panic_that_panics_when_it_is_dropped_ends_the_watcher_too(db: Database, _: TestClock) {
    let store = store(&db).await;
    let watcher = store.watch(Explodes, "a").await.unwrap();
    let last = store.append(event("a.1", "x")).await.unwrap();
    assert!(!watcher.reached(last).await);
    let error = watcher.stop().await.map(|_| ()).unwrap_err();
    assert!(error.to_string().contains("it panicked"), "{error}");
}

#[fact]
pub async fn a_panic_of_a_model_ends_the_watcher(db: Database, _: TestClock) {
    let store = store(&db).await;
    let watcher = store.watch(Panics, "a").await.unwrap();
    let last = store.append(event("a.1", "x")).await.unwrap();
    assert!(!watcher.reached(last).await);
    let error = watcher.stop().await.map(|_| ()).unwrap_err();
    assert!(error.to_string().contains("a panic at event 1"), "{error}");
    assert_eq!(store.append(event("a.1", "x")).await.unwrap(), 2);
}
