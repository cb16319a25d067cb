//! Projections come and go.

use std::time::Duration;

use tito_core::prelude::*;
use tito_eventstore::{EventStoreConfig, EventStoreError, Manager, NewEvent, Projection, Select};
use tito_testkit::{Call, FaultEngine, TestClock, WithFaults};

use crate::support::{Accounts, Customers, assert_folded, bank, generations, harness, projected, rows, stored};

#[fact]
pub async fn a_projection_added_to_a_store_with_events_folds_them_all(db: Database, clock: TestClock) {
    let bank = bank(&db).await;
    let mut customers = Customers::new();
    customers.append(&bank, 450).await;
    let projection = Projection::new(&bank, Accounts::new(&bank, Select::all())).await.unwrap();
    assert!(!bank.add_projection("accounts").await.unwrap());
    // Adding it is enough to wake its worker.
    harness(&db, &clock, &projection).drain().await.unwrap();
    assert_folded(&bank, 0).await;
}

#[fact]
pub async fn an_append_that_does_not_know_of_a_projection_is_run_again(db: Database, clock: TestClock) {
    let db = FaultEngine::new(db).database();
    let bank = bank(&db).await;
    // By another process: this one's would be waited for.
    let other = Manager::new(db.clone()).get_event_store(bank.name()).await.unwrap();
    let gate = db.faults().at(Call::Commit).hold();
    let append = tokio::spawn(async move { other.append(NewEvent::raw("account.1", "opened", "ada")).await.unwrap() });
    gate.arrivals(1).await;
    let projection = Projection::new(&bank, Accounts::new(&bank, Select::all())).await.unwrap();
    let mut harness = harness(&db, &clock, &projection);
    harness.drain().await.unwrap();
    assert_eq!(rows(&bank).await, []);
    gate.open();
    append.await.unwrap();
    harness.drain().await.unwrap();
    assert_eq!(rows(&bank).await.len(), 1);
}

#[fact]
pub async fn a_removed_projection_leaves_nothing_and_can_be_added_again(db: Database, clock: TestClock) {
    let (bank, projection, _) = projected(&db).await;
    let mut customers = Customers::new();
    customers.append(&bank, 50).await;
    projection.catch_up().await.unwrap();
    bank.rebuild_projection("accounts").await.unwrap();
    assert!(bank.remove_projection("accounts").await.unwrap());
    assert!(!bank.remove_projection("accounts").await.unwrap());
    assert_eq!(generations(&db).await, [].into());
    assert!(matches!(
        bank.projection("accounts").await.unwrap_err(),
        EventStoreError::ProjectionNotFound { projection, .. } if projection == "accounts"
    ));
    // What was left to wake its worker is acknowledged, and appends wake nobody.
    customers.append(&bank, 10).await;
    harness(&db, &clock, &projection).drain().await.unwrap();
    assert_eq!((generations(&db).await, stored(&db, "event:bank.").await), ([].into(), vec![]));

    assert!(bank.add_projection("accounts").await.unwrap());
    customers.append(&bank, 10).await;
    harness(&db, &clock, &projection).drain().await.unwrap();
    assert_folded(&bank, 0).await;
}

#[fact]
pub async fn wake_ups_of_a_deleted_store_are_acknowledged(db: Database, clock: TestClock) {
    let manager = Manager::new(db.clone());
    let bank = manager.create_event_store(EventStoreConfig::new("bank")).await.unwrap();
    let projection = Projection::new(&bank, Accounts::new(&bank, Select::all())).await.unwrap();
    Customers::new().append(&bank, 50).await;
    projection.catch_up().await.unwrap();
    Customers::new().append(&bank, 50).await;
    manager.delete_event_store("bank").await.unwrap();
    assert!(bank.view("accounts").begin().await.is_err());
    assert!(!stored(&db, "event:bank.accounts:").await.is_empty());
    let mut harness = harness(&db, &clock, &projection);
    harness.drain().await.unwrap();
    assert_eq!(stored(&db, "event:bank.accounts:").await, []);
    manager.sweep().await.unwrap();
    assert_eq!((generations(&db).await, harness.report().retried), ([].into(), 0));
    assert!(matches!(bank.add_projection("accounts").await.unwrap_err(), EventStoreError::StoreNotFound { .. }));
}

#[fact]
pub async fn a_store_created_again_is_not_folded_by_its_predecessors_projection(db: Database, clock: TestClock) {
    let manager = Manager::new(db.clone());
    let old = manager.create_event_store(EventStoreConfig::new("bank")).await.unwrap();
    let stale = Projection::new(&old, Accounts::new(&old, Select::all())).await.unwrap();
    manager.delete_event_store("bank").await.unwrap();
    let bank = manager.create_event_store(EventStoreConfig::new("bank")).await.unwrap();
    let projection = Projection::new(&bank, Accounts::new(&bank, Select::all())).await.unwrap();
    Customers::new().append(&bank, 20).await;
    assert!(matches!(stale.catch_up().await.unwrap_err(), EventStoreError::StoreNotFound { .. }));
    // Its worker takes no wake-up away from the other.
    harness(&db, &clock, &stale).drain().await.unwrap();
    harness(&db, &clock, &projection).advance(Duration::from_secs(120)).await.unwrap();
    assert_folded(&bank, 0).await;
}

#[fact]
pub async fn names_of_projections_are_checked(db: Database, _: TestClock) {
    let bank = bank(&db).await;
    for name in ["", "a.b", "a:b", "a@b", "a\nb", &"a".repeat(256), &"a".repeat(253)] {
        let EventStoreError::Engine(error) = bank.add_projection(name).await.unwrap_err() else { panic!("{name}") };
        assert!(matches!(error, TitoError::InvalidName { .. }), "{name}: {error}");
    }
    assert!(bank.add_projection(&"a".repeat(250)).await.unwrap());
}
