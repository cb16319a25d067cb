//! What a later version has stored in a row survives whatever this one does with the row.

use tito_core::prelude::*;
use tito_eventstore::{EventStoreConfig, Manager, Retention, Select};
use tito_testkit::TestClock;

use crate::support::*;
use tito_testkit::later::{add, assert_kept, log_of};

/// The rows of a store that are written again and again, by the beginning of their keys behind its number.
const CHANGED: [&str; 4] = ["head", "tail", "last:", "gone:"];

#[fact]
pub async fn a_stores_rows_keep_it_while_events_are_appended_and_dropped(db: Database, _: TestClock) {
    let config = || EventStoreConfig::new("bank").retention(Retention::default().events(2));
    let manager = Manager::new(db.clone());
    let store = manager.create_event_store(config()).await.unwrap();
    let events = || ["a.1", "a.2", "b.1"].map(|entity| event(entity, "x"));
    store.append(events()).await.unwrap();
    manager.sweep().await.unwrap();
    // Twice, so that there are no entities left of which nothing was dropped.
    store.append(events()).await.unwrap();
    manager.sweep().await.unwrap();
    let log = log_of(&db, "bank").await;
    let prefixes = CHANGED.map(|row| format!("{log}{row}"));
    for prefix in &prefixes {
        add(&db, prefix, &[""]).await;
    }
    // Another process, which remembers nothing.
    let manager = Manager::new(db.clone());
    let store = manager.get_event_store("bank").await.unwrap();
    store.append(events()).await.unwrap();
    manager.sweep().await.unwrap();
    assert_eq!(sequences(&store, Select::all()).await, [8, 9]);
    for prefix in &prefixes {
        assert_kept(&db, prefix, &[""]).await;
    }
    // Nor is it taken for an event type.
    store.append([event("a.1", "x").expect_sequence(7)]).await.unwrap();
}

#[fact]
pub async fn a_stores_definition_keeps_it_through_changes(db: Database, _: TestClock) {
    let manager = Manager::new(db.clone());
    let store = manager.create_event_store(EventStoreConfig::new("bank")).await.unwrap();
    add(&db, "store:bank", &[""]).await;
    let config = EventStoreConfig::new("bank").description("accounts").retention(Retention::default().events(9));
    manager.update_event_store(config).await.unwrap();
    assert_kept(&db, "store:bank", &[""]).await;
    assert!(store.add_projection("balances").await.unwrap());
    assert_kept(&db, "store:bank", &[""]).await;
    assert!(store.remove_projection("balances").await.unwrap());
    assert_kept(&db, "store:bank", &[""]).await;
    assert_eq!(store.info().await.unwrap().description, "accounts");
}
