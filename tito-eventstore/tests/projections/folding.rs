//! Events become rows, once each.

use std::sync::atomic::Ordering;

use tito_core::prelude::*;
use tito_core::{BoxError, Transaction};
use tito_eventstore::{Event, NewEvent, Projection, Projector, Select};
use tito_testkit::{Call, FaultEngine, TestClock, WithFaults};

use crate::support::{
    Accounts, Customers, Running, assert_folded, bank, by_hand, generations, harness, keys_of, projected, rows, stored,
};

#[fact]
pub async fn rows_are_what_a_fold_by_hand_comes_to(db: Database, clock: TestClock) {
    let (bank, projection, controls) = projected(&db).await;
    let mut customers = Customers::new();
    let mut harness = harness(&db, &clock, &projection);
    for round in 1..=5 {
        customers.append(&bank, 100).await;
        harness.drain().await.unwrap();
        assert_folded(&bank, 0).await;
        assert_eq!(controls.calls.load(Ordering::Relaxed), 100 * round);
    }
    let last = bank.last_sequence().await.unwrap();
    assert_eq!(generations(&db).await, [(1, keys_of(&by_hand(&bank, last, 0).await))].into());
    assert_eq!(stored(&db, "data:").await, []);
    assert_eq!(stored(&db, "event:bank.accounts:").await, []);
}

#[fact]
pub async fn only_selected_events_are_folded(db: Database, _: TestClock) {
    let bank = bank(&db).await;
    let selected = Select::filter("account.1").or("account.*.closed").after(2).up_to(9);
    let accounts = Accounts::new(&bank, selected);
    let calls = accounts.controls.calls.clone();
    let projection = Projection::new(&bank, accounts).await.unwrap();
    for account in [1, 2, 1, 2, 3, 1] {
        bank.append(NewEvent::raw(format!("account.{account}"), "opened", "ada")).await.unwrap();
        bank.append(NewEvent::raw(format!("account.{account}"), "closed", "data")).await.unwrap();
    }
    projection.catch_up().await.unwrap();
    // 4 of another account, 5 and 6, 8 of another account, of those after 2 and up to 9.
    assert_eq!(calls.load(Ordering::Relaxed), 4);
    let info = bank.projection("accounts").await.unwrap();
    assert_eq!((info.checkpoint, info.behind()), (12, 0));
}

#[fact]
pub async fn a_wake_up_with_nothing_to_fold_costs_two_reads(db: Database, _: TestClock) {
    let db = FaultEngine::new(db).database();
    let (bank, projection, _) = projected(&db).await;
    Customers::new().append(&bank, 10).await;
    projection.catch_up().await.unwrap();
    db.faults().reset_counts();
    projection.catch_up().await.unwrap();
    let count = |call| db.faults().count(call);
    assert_eq!([count(Call::Begin), count(Call::BatchGet), count(Call::Get), count(Call::Scan)], [1, 2, 0, 0]);
    assert_eq!([count(Call::Put), count(Call::Delete), count(Call::Lock)], [0; 3]);
}

/// Writes many rows for each event.
struct Wide;

impl Projector for Wide {
    fn name(&self) -> &str {
        "accounts"
    }

    async fn project(&self, event: &Event, tx: &Transaction) -> Result<(), BoxError> {
        for row in 0..700 {
            tx.put(format!("data:wide:{}-{row}", event.sequence()).into_bytes(), b"1".to_vec()).await?;
        }
        Ok(())
    }
}

#[fact]
pub async fn a_projector_that_writes_much_is_given_several_transactions(db: Database, _: TestClock) {
    let bank = bank(&db).await;
    Customers::new().append(&bank, 50).await;
    let projection = Projection::new(&bank, Wide).await.unwrap();
    // Together they would be over the limit of a transaction.
    projection.catch_up().await.unwrap();
    assert_eq!(generations(&db).await, [(1, 50 * 700 + 1)].into());
    assert!(bank.remove_projection("accounts").await.unwrap());
    assert_eq!(generations(&db).await, [].into());
}

#[fact]
pub async fn two_workers_of_one_projection_fold_each_event_once(db: Database, clock: TestClock) {
    let (bank, projection, _) = projected(&db).await;
    let other = Projection::new(&bank, Accounts::new(&bank, Select::all())).await.unwrap();
    let workers = [Running::start(&db, &projection), Running::start(&db, &other)];
    let mut customers = Customers::new();
    for _ in 0..30 {
        customers.append(&bank, 10).await;
        clock.advance(std::time::Duration::from_millis(20));
        tokio::task::yield_now().await;
    }
    while bank.projection("accounts").await.unwrap().behind() > 0 {
        clock.advance(std::time::Duration::from_millis(100));
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
    for worker in workers {
        worker.stop().await;
    }
    // An account counts the events that were folded into it.
    assert_folded(&bank, 0).await;
}

#[fact]
pub async fn an_event_of_the_outbox_is_published_once(db: Database, _: TestClock) {
    let (bank, projection, _) = projected(&db).await;
    for account in 0..5 {
        bank.append(NewEvent::raw(format!("account.{account}"), "opened", format!("owner-{account}"))).await.unwrap();
    }
    projection.catch_up().await.unwrap();
    projection.catch_up().await.unwrap();
    assert_eq!(rows(&bank).await.len(), 5);
    assert_eq!(stored(&db, "event:opened:").await.len(), 5);
}
