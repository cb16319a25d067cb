//! Rebuilds beside the rows that serve.

use std::sync::atomic::Ordering;

use tito_core::prelude::*;
use tito_eventstore::{EventStore, NewEvent, Projection, Select};
use tito_testkit::{Call, FaultEngine, TestClock, WithFaults};

use crate::support::{Accounts, Customers, assert_folded, by_hand, generations, keys_of, projected, rows, stored};

#[fact]
pub async fn the_old_rows_serve_until_a_rebuild_has_caught_up_while_appends_go_on(db: Database, _: TestClock) {
    let db = FaultEngine::new(db).database();
    let (bank, projection, controls) = projected(&db).await;
    let mut customers = Customers::new();
    customers.append(&bank, 700).await;
    projection.catch_up().await.unwrap();
    controls.edition.store(1, Ordering::Relaxed);
    bank.rebuild_projection("accounts").await.unwrap();
    // The second transaction of the rebuild is stopped before its commit.
    let gate = db.faults().at(Call::Commit).key_prefix("log:").nth(2).hold();
    let rebuilding = tokio::spawn({
        let projection = projection.clone();
        async move { projection.catch_up().await.unwrap() }
    });
    gate.arrivals(1).await;
    customers.append(&bank, 50).await;
    let info = bank.projection("accounts").await.unwrap();
    assert_eq!((info.checkpoint, info.behind(), info.rebuild.unwrap().checkpoint), (700, 50, 200));
    assert_eq!(generations(&db).await.len(), 2);
    assert_eq!(rows(&bank).await, by_hand(&bank, 700, 0).await);
    gate.open();
    rebuilding.await.unwrap();
    assert_folded(&bank, 1).await;
    customers.append(&bank, 50).await;
    projection.catch_up().await.unwrap();
    assert_folded(&bank, 1).await;
    assert_eq!(generations(&db).await, [(2, keys_of(&rows(&bank).await))].into());
}

#[fact]
pub async fn a_rebuild_publishes_nothing(db: Database, _: TestClock) {
    let (bank, projection, _) = projected(&db).await;
    let mut customers = Customers::new();
    customers.append(&bank, 250).await;
    projection.catch_up().await.unwrap();
    let published = stored(&db, "event:opened:").await;
    assert!(!published.is_empty());
    bank.rebuild_projection("accounts").await.unwrap();
    projection.catch_up().await.unwrap();
    assert_eq!(stored(&db, "event:opened:").await, published);
    assert_folded(&bank, 0).await;
}

async fn open_accounts(bank: &EventStore, accounts: std::ops::Range<u32>) {
    for account in accounts {
        let owner = format!("owner-{account}");
        bank.append(NewEvent::raw(format!("account.{account}"), "opened", owner)).await.unwrap();
    }
}

#[fact]
pub async fn what_a_projection_publishes_is_published_once_if_it_is_rebuilt_while_it_is_behind(
    db: Database,
    _: TestClock,
) {
    let (bank, projection, _) = projected(&db).await;
    open_accounts(&bank, 0..250).await;
    bank.rebuild_projection("accounts").await.unwrap();
    projection.catch_up().await.unwrap();
    assert_folded(&bank, 0).await;
    assert_eq!(stored(&db, "event:opened:").await.len(), 250);
}

#[fact]
pub async fn a_transaction_under_way_is_run_again_once_its_generation_is_out_of_service(db: Database, _: TestClock) {
    let db = FaultEngine::new(db).database();
    let (bank, slow, _) = projected(&db).await;
    open_accounts(&bank, 0..10).await;
    slow.catch_up().await.unwrap();
    open_accounts(&bank, 10..15).await;
    let gate = db.faults().at(Call::Commit).key_prefix("log:").hold();
    let under_way = tokio::spawn(async move { slow.catch_up().await.unwrap() });
    gate.arrivals(1).await;

    // Another worker can't go on with the rows that serve, so it replaces them as they are.
    let accounts = Accounts::new(&bank, Select::all());
    accounts.controls.fail(Some((11, "not here")));
    let other = Projection::new(&bank, accounts).await.unwrap();
    bank.rebuild_projection("accounts").await.unwrap();
    other.catch_up().await.unwrap_err();
    assert_eq!(generations(&db).await, [(2, keys_of(&rows(&bank).await))].into());

    gate.open();
    under_way.await.unwrap();
    assert_folded(&bank, 0).await;
    assert_eq!(generations(&db).await, [(2, keys_of(&rows(&bank).await))].into());
    assert_eq!(stored(&db, "event:opened:").await.len(), 15);
}

#[fact]
pub async fn a_rebuild_under_way_leaves_nothing_once_another_was_asked_for(db: Database, _: TestClock) {
    let db = FaultEngine::new(db).database();
    let (bank, slow, _) = projected(&db).await;
    // More than one transaction folds, so that the one that is stopped does not switch.
    open_accounts(&bank, 0..250).await;
    slow.catch_up().await.unwrap();
    bank.rebuild_projection("accounts").await.unwrap();
    let gate = db.faults().at(Call::Commit).key_prefix("log:").hold();
    let under_way = tokio::spawn(async move { slow.catch_up().await.unwrap() });
    gate.arrivals(1).await;
    bank.rebuild_projection("accounts").await.unwrap();
    let other = Projection::new(&bank, Accounts::new(&bank, Select::all())).await.unwrap();
    other.catch_up().await.unwrap();
    gate.open();
    under_way.await.unwrap();
    assert_folded(&bank, 0).await;
    assert_eq!(generations(&db).await, [(3, keys_of(&rows(&bank).await))].into());
}

#[fact]
pub async fn a_rebuild_asked_for_again_begins_anew(db: Database, _: TestClock) {
    let (bank, projection, controls) = projected(&db).await;
    Customers::new().append(&bank, 300).await;
    projection.catch_up().await.unwrap();
    bank.rebuild_projection("accounts").await.unwrap();
    controls.edition.store(1, Ordering::Relaxed);
    controls.fail(Some((250, "half-way")));
    projection.catch_up().await.unwrap_err();
    let rebuild = bank.projection("accounts").await.unwrap().rebuild.unwrap();
    assert_eq!((rebuild.checkpoint, rebuild.failure.unwrap().sequence), (249, 250));
    controls.fail(None);
    bank.rebuild_projection("accounts").await.unwrap();
    assert_eq!(bank.projection("accounts").await.unwrap().rebuild.unwrap().checkpoint, 0);
    controls.edition.store(2, Ordering::Relaxed);
    projection.catch_up().await.unwrap();
    assert_folded(&bank, 2).await;
    assert_eq!(generations(&db).await, [(3, keys_of(&rows(&bank).await))].into());
}

#[fact]
pub async fn a_rebuild_mends_a_projection_that_can_not_go_on(db: Database, _: TestClock) {
    let (bank, projection, controls) = projected(&db).await;
    let mut customers = Customers::new();
    customers.append(&bank, 20).await;
    projection.catch_up().await.unwrap();
    // Rows that no projector can go on with.
    for (key, _) in stored(&db, "log:").await {
        if String::from_utf8_lossy(&key).contains(":data:account:") {
            db.transaction(|tx| async move { tx.system_keys().put(key, b"?".to_vec()).await }).await.unwrap();
        }
    }
    customers.append(&bank, 30).await;
    projection.catch_up().await.unwrap_err();
    assert!(bank.projection("accounts").await.unwrap().failure.is_some());
    controls.edition.store(1, Ordering::Relaxed);
    bank.rebuild_projection("accounts").await.unwrap();
    projection.catch_up().await.unwrap();
    assert_folded(&bank, 1).await;
}

#[fact]
pub async fn a_rebuild_that_fails_leaves_the_old_rows_in_service(db: Database, _: TestClock) {
    let (bank, projection, controls) = projected(&db).await;
    let mut customers = Customers::new();
    customers.append(&bank, 50).await;
    projection.catch_up().await.unwrap();
    bank.rebuild_projection("accounts").await.unwrap();
    controls.fail(Some((20, "a bug")));
    projection.catch_up().await.unwrap_err();
    customers.append(&bank, 50).await;
    projection.catch_up().await.unwrap_err();
    let info = bank.projection("accounts").await.unwrap();
    assert_eq!((info.checkpoint, info.failure), (100, None));
    assert_eq!(rows(&bank).await, by_hand(&bank, 100, 0).await);
    controls.fail(None);
    projection.catch_up().await.unwrap();
    assert_folded(&bank, 0).await;
}

/// As where a part of a database was taken from an earlier backup.
#[fact]
pub async fn a_projection_that_is_ahead_of_its_store_is_put_right_by_a_rebuild(db: Database, _: TestClock) {
    let (bank, projection, _) = projected(&db).await;
    let mut customers = Customers::new();
    customers.append(&bank, 20).await;
    projection.catch_up().await.unwrap();
    let checkpoint = stored(&db, "log:").await.into_iter().find(|(key, _)| key.ends_with(b":checkpoint")).unwrap().0;
    db.transaction(|tx| async move { tx.system_keys().put(checkpoint, b"{\"sequence\":25}".to_vec()).await })
        .await
        .unwrap();
    bank.rebuild_projection("accounts").await.unwrap();
    projection.catch_up().await.unwrap();
    assert_eq!(bank.projection("accounts").await.unwrap().checkpoint, 20);
    customers.append(&bank, 10).await;
    projection.catch_up().await.unwrap();
    assert_folded(&bank, 0).await;
}
