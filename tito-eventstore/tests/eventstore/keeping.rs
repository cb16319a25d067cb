use std::time::Duration;

use tito_core::BoxError;
use tito_core::keys::KeyRange;
use tito_core::prelude::*;
use tito_eventstore::keys;
use tito_eventstore::{
    Command, Decider, Envelope, EventStore, EventStoreConfig, EventStoreError, Manager, NewEvent, Retention, Select,
};
use tito_testkit::TestClock;

use crate::support::*;

async fn limited(db: &Database, limits: Retention) -> (Manager, EventStore) {
    let manager = Manager::new(db.clone());
    let store = manager.create_event_store(EventStoreConfig::new("bank").retention(limits)).await.unwrap();
    (manager, store)
}

/// How many keys there are of stores, but for the definitions.
async fn keys_of_stores(db: &Database) -> usize {
    let tx = db.begin().await.unwrap();
    tx.scan(KeyRange::prefix("log:"), 100_000).await.unwrap().len()
}

#[fact]
pub async fn the_oldest_events_over_a_limit_are_dropped(db: Database, _: TestClock) {
    let (manager, store) = limited(&db, Retention::default().events(700)).await;
    manager.sweep().await.unwrap();
    for _ in 0..3 {
        let events = (0..400).map(|number| event(&format!("a.{}", number % 2), "x"));
        store.append(events.collect::<Vec<_>>()).await.unwrap();
    }
    manager.sweep().await.unwrap();
    assert_eq!(sequences(&store, Select::all()).await, (501..=1200).collect::<Vec<_>>());
    assert_eq!(sequences(&store, "a.0").await, (501..=1200).step_by(2).collect::<Vec<_>>());
    let info = store.info().await.unwrap();
    assert_eq!((info.first_sequence, info.last_sequence, info.events), (501, 1200, 700));

    let bytes = info.bytes;
    assert!(bytes >= 700 * 30);
    manager
        .update_event_store(EventStoreConfig::new("bank").retention(Retention::default().bytes(bytes / 2)))
        .await
        .unwrap();
    manager.sweep().await.unwrap();
    let info = store.info().await.unwrap();
    assert!(info.bytes <= bytes / 2 && info.bytes > bytes / 2 - 100, "{info:?} of {bytes}");
    assert_eq!(info.events, 350);
    assert_eq!(info.last_sequence, 1200);
}

#[fact]
pub async fn events_of_an_age_are_dropped(db: Database, clock: TestClock) {
    let (manager, store) = limited(&db, Retention::default().age(Duration::from_secs(60))).await;
    for _ in 0..3 {
        // It does not matter when it happened, but when it was appended.
        let old = chrono::DateTime::from_timestamp(0, 0).unwrap();
        store.append([event("a.1", "x").time(old), event("a.1", "x")]).await.unwrap();
        clock.advance(Duration::from_secs(25));
    }
    manager.sweep().await.unwrap();
    assert_eq!(sequences(&store, Select::all()).await, [3, 4, 5, 6]);
    clock.advance(Duration::from_secs(100));
    manager.sweep().await.unwrap();
    assert_eq!(sequences(&store, "a.1").await, NONE);
    let info = store.info().await.unwrap();
    assert_eq!((info.first_sequence, info.last_sequence, info.events, info.bytes), (7, 6, 0, 0));
}

#[fact]
pub async fn sequences_are_not_used_again(db: Database, _: TestClock) {
    let (manager, store) = limited(&db, Retention::default().events(0)).await;
    store.append([event("a.1", "x").id("a"), event("a.1", "y")]).await.unwrap();
    manager.sweep().await.unwrap();
    assert_eq!(sequences(&store, Select::all()).await, NONE);
    // What an entity's last sequence was is not forgotten, so no outdated decision is taken for a new one.
    assert!(store.append(event("a.1", "x").expect_sequence(0)).await.is_err());
    assert_eq!(store.append(event("a.1", "x").expect_sequence(2)).await.unwrap(), 3);
    // Its id is: the event is a new one.
    assert_eq!(store.append(event("a.1", "x").id("a")).await.unwrap(), 4);
}

#[fact]
pub async fn what_a_deleted_store_leaves_is_removed(db: Database, clock: TestClock) {
    let manager = Manager::new(db.clone());
    let other = manager.create_event_store(EventStoreConfig::new("other")).await.unwrap();
    other.append(event("a.1", "x")).await.unwrap();
    let others = keys_of_stores(&db).await;
    let store = manager.create_event_store(EventStoreConfig::new("bank")).await.unwrap();
    store.append((0..500).map(|_| NewEvent::raw("a.1", "x", vec![1; 1000])).collect::<Vec<_>>()).await.unwrap();
    manager.delete_event_store("bank").await.unwrap();
    manager.sweep().await.unwrap();
    assert_eq!(keys_of_stores(&db).await, others);
    // That it was deleted is remembered as long as somebody may still write there.
    let dropped = || async { db.begin().await.unwrap().scan(keys::dropped_logs(), 10).await.unwrap().len() };
    assert_eq!(dropped().await, 1);
    clock.advance(Duration::from_millis(2 * db.max_transaction_age_millis() + 1));
    manager.sweep().await.unwrap();
    assert_eq!(dropped().await, 0);
    assert_eq!(sequences(&other, Select::all()).await, [1]);
}

#[fact]
pub async fn a_damaged_store_does_not_keep_others_from_being_swept(db: Database, _: TestClock) {
    let manager = Manager::new(db.clone());
    let limited = |name| EventStoreConfig::new(name).retention(Retention::default().events(1));
    let damaged = manager.create_event_store(limited("a")).await.unwrap();
    damaged.append([event("a.1", "x"), event("a.1", "x")]).await.unwrap();
    let tx = db.begin().await.unwrap();
    let keys = tx.scan(KeyRange::prefix("log:"), 100).await.unwrap();
    tx.rollback().await;
    let (key, _) = keys.into_iter().find(|(key, _)| String::from_utf8_lossy(key).contains(":event:")).unwrap();
    db.transaction(|tx| async move { tx.system_keys().put(key, b"nonsense".to_vec()).await }).await.unwrap();

    let other = manager.create_event_store(limited("b")).await.unwrap();
    other.append([event("a.1", "x"), event("a.1", "x")]).await.unwrap();
    manager.create_event_store(EventStoreConfig::new("c")).await.unwrap();
    manager.delete_event_store("c").await.unwrap();
    let error = manager.sweep().await.unwrap_err();
    let EventStoreError::Engine(error) = error else { panic!("{error:?}") };
    assert!(matches!(error, TitoError::Malformed { .. }), "{error:?}");
    assert_eq!(sequences(&other, Select::all()).await, [2]);
}

#[fact]
pub async fn sweeps_at_once_beside_writers_and_watchers_count_right(db: Database, _: TestClock) {
    let (manager, store) = limited(&db, Retention::default().events(300)).await;
    let watcher = store.watch(Seen::default(), Select::all()).await.unwrap();
    let writing = async {
        for _ in 0..20 {
            let last = store.append((0..50).map(|_| event("a.1", "x")).collect::<Vec<_>>()).await.unwrap();
            // Nothing that it has not seen is dropped.
            assert!(watcher.reached(last).await);
        }
    };
    let sweeping = |manager: Manager| async move {
        for _ in 0..20 {
            manager.sweep().await.unwrap();
            tokio::task::yield_now().await;
        }
    };
    futures::join!(writing, sweeping(manager.clone()), sweeping(Manager::new(db.clone())));
    assert_eq!(watcher.stop().await.unwrap().0, (1..=1000).collect::<Vec<_>>());
    manager.sweep().await.unwrap();
    assert_eq!(sequences(&store, Select::all()).await, (701..=1000).collect::<Vec<_>>());
    let info = store.info().await.unwrap();
    assert_eq!((info.first_sequence, info.events), (701, 300));
    // Of events of one size, so nothing was counted twice.
    assert_eq!(info.bytes % 300, 0, "{info:?}");
}

/// Decides on an event of an entity that stays, and one of an entity that is erased.
struct Both;

impl Command for Both {}

impl Decider<Both> for Both {
    fn decide(&self, _: &Both) -> Result<Vec<NewEvent>, BoxError> {
        Ok(vec![event("kept.1", "x"), event("erased.1", "x")])
    }
}

#[fact]
pub async fn a_command_is_forgotten_though_the_last_of_its_events_was_erased(db: Database, _: TestClock) {
    let (manager, store) = limited(&db, Retention::default().events(2)).await;
    let decide = async || store.decide(&Both, &Envelope::new(Both).id("request-1")).await.unwrap();
    decide().await;
    store.erase("erased.1").await.unwrap();
    assert!(decide().await.is_repeated(), "one is left");
    store.append([event("a.1", "x"), event("a.1", "x")]).await.unwrap();
    manager.sweep().await.unwrap();
    assert_eq!(sequences(&store, Select::all()).await, [3, 4]);
    let anew = decide().await;
    assert_eq!((anew.is_repeated(), anew.last_sequence()), (false, Some(6)));
}
