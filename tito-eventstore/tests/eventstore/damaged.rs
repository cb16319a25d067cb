//! A row that can't be read spoils what it is of, and nothing else.
#![allow(clippy::print_stderr, reason = "a failure is about the row that was named last")]

use tito_core::Transaction;
use tito_core::keys::KeyRange;
use tito_core::prelude::*;
use tito_eventstore::keys;
use tito_eventstore::{EventStore, EventStoreConfig, EventStoreError, Manager, Retention, Select};
use tito_testkit::TestClock;

use crate::support::*;

/// Stores bytes as they are, and returns what was there.
async fn put(db: &Database, key: &[u8], value: Option<&[u8]>) -> Option<Vec<u8>> {
    let write = |tx: Transaction| async move {
        let before = tx.get(key).await?;
        match value {
            Some(value) => tx.system_keys().put(key.to_vec(), value.to_vec()).await?,
            None => tx.system_keys().delete(key.to_vec()).await?,
        }
        Ok(before)
    };
    db.transaction(write).await.unwrap()
}

fn assert_named(error: &EventStoreError, damaged: &[u8]) {
    let EventStoreError::Engine(error) = error else { panic!("{error:?}") };
    assert!(matches!(error, TitoError::Malformed { key, .. } if key.as_bytes() == damaged), "{error:?}");
}

async fn created(db: &Database, name: &str) -> EventStore {
    let limits = Retention::default().events(3);
    Manager::new(db.clone()).create_event_store(EventStoreConfig::new(name).retention(limits)).await.unwrap()
}

/// Another store, as a program sees it that begins now.
async fn others_go_on(db: &Database, damaged: &[u8]) {
    let manager = Manager::new(db.clone());
    let good = manager.get_event_store("good").await.unwrap();
    let last = good.append((0..5).map(|_| event("a.1", "x")).collect::<Vec<_>>()).await.unwrap();
    if let Err(error) = manager.sweep().await {
        assert_named(&error, damaged);
    }
    assert_eq!(sequences(&good, Select::all()).await, [last - 2, last - 1, last], "what is over its limit is dropped");
    assert_eq!(good.info().await.unwrap().last_sequence, last);
    assert_eq!(manager.event_stores(None, 9).await.unwrap(), ["bad", "good"]);
    let temporary = manager.create_event_store(EventStoreConfig::new("temporary")).await.unwrap();
    temporary.append(event("a.1", "x")).await.unwrap();
    manager.delete_event_store("temporary").await.unwrap();
    if let Err(error) = manager.sweep().await {
        assert_named(&error, damaged);
    }
}

#[fact]
pub async fn a_damaged_row_of_a_store_spoils_no_other_store(db: Database, _: TestClock) {
    let (bad, _) = (created(&db, "bad").await, created(&db, "good").await);
    bad.append([event("a.1", "x"), event("b.1", "x"), event("a.1", "y"), event("b.1", "y")]).await.unwrap();
    Manager::new(db.clone()).sweep().await.unwrap();
    bad.append([event("a.1", "x"), event("b.1", "x")]).await.unwrap();
    bad.add_projection("p").await.unwrap();
    let id = Manager::new(db.clone()).get_event_store("bad").await.unwrap().info().await.unwrap();
    assert_eq!(id.last_sequence, 6);
    let tx = db.begin().await.unwrap();
    let of_good = tx.scan(KeyRange::prefix("store:bad"), 1).await.unwrap();
    let definition: serde_json::Value = serde_json::from_slice(&of_good[0].1).unwrap();
    let number = definition["id"].as_u64().unwrap();
    let mut damaged: Vec<_> =
        tx.scan(keys::log(number), 1_000).await.unwrap().into_iter().map(|(key, _)| key).collect();
    tx.rollback().await;
    assert!(damaged.len() > 20, "of each kind: {damaged:?}");
    damaged.extend([keys::event_store("bad"), keys::dropped_log(17), b"store:\"".to_vec(), b"dropped:x".to_vec()]);
    for key in damaged {
        eprintln!("{}", String::from_utf8_lossy(&key));
        let before = put(&db, &key, Some(b"nonsense")).await;
        others_go_on(&db, &key).await;
        put(&db, &key, before.as_deref()).await;
    }
    // Repaired, it is as it was.
    let bad = Manager::new(db.clone()).get_event_store("bad").await.unwrap();
    assert_eq!(bad.append(event("a.1", "x")).await.unwrap(), 7);
    Manager::new(db.clone()).sweep().await.unwrap();
}

/// Appends of one process share a transaction.
#[fact]
pub async fn a_damaged_row_of_an_entity_fails_no_append_of_another(db: Database, _: TestClock) {
    let bad = created(&db, "bad").await;
    let events = ["a.1", "b.1", "c.1"].map(|entity| event(entity, "x").id(format!("of {entity}")));
    bad.append(events).await.unwrap();
    let tx = db.begin().await.unwrap();
    let stored = tx.scan(KeyRange::prefix("log:"), 1_000).await.unwrap();
    tx.rollback().await;
    for part in [":last:a:1", ":type:a", ":id:of\"20a.1"] {
        let (key, _) = stored.iter().find(|(key, _)| String::from_utf8_lossy(key).ends_with(part)).unwrap();
        let before = put(&db, key, Some(b"nonsense")).await;
        let store = Manager::new(db.clone()).get_event_store("bad").await.unwrap();
        let of = |entity: &str| store.append(event(entity, "x").id(format!("of {entity}")));
        let new = |entity: &str| store.append(event(entity, "y"));
        let outcomes = futures::join!(of("a.1"), of("b.1"), new("b.1"), new("c.1"), new("d.1"));
        assert_named(&outcomes.0.unwrap_err(), key);
        assert_eq!(outcomes.1.unwrap(), 2, "it was appended before");
        for outcome in [outcomes.2, outcomes.3, outcomes.4] {
            outcome.unwrap();
        }
        put(&db, key, before.as_deref()).await;
        let store = Manager::new(db.clone()).get_event_store("bad").await.unwrap();
        assert_eq!(store.append(event("a.1", "x").id("of a.1")).await.unwrap(), 1);
    }
}
