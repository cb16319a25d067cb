//! Every call of the engine may fail.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tito_core::prelude::*;
use tito_eventstore::{Manager, Projection, Select};
use tito_testkit::{Call, FaultEngine, TestClock, WithFaults};

use crate::support::{Accounts, Customers, Running, assert_folded, generations, keys_of, projected, rows, stored};

#[fact]
pub async fn each_event_is_folded_once_while_every_call_may_fail(db: Database, clock: TestClock) {
    // Appends without faults; it is the projection that is tried here.
    let (bank, _, _) = projected(&db).await;
    let faulty = FaultEngine::seeded(db.clone(), tito_testkit::seed()).database();
    let store = Manager::new(faulty.clone()).get_event_store("bank").await.unwrap();
    let accounts = Accounts::new(&store, Select::all());
    let controls = accounts.controls.clone();
    let projection = Projection::new(&store, accounts).await.unwrap();
    let calls = [Call::Begin, Call::Get, Call::BatchGet, Call::Scan, Call::Put, Call::Delete, Call::Commit];
    for call in calls {
        // A transaction that folds 200 events makes more than 1,000 calls.
        faulty.faults().at(call).with_probability(0.002).storage_error();
        faulty.faults().at(call).with_probability(0.002).conflict();
    }
    faulty.faults().at(Call::Commit).with_probability(0.1).unknown_after_effect();
    faulty.faults().at(Call::Commit).with_probability(0.1).unknown_without_effect();

    let workers = [Running::start(&faulty, &projection), Running::start(&faulty, &projection)];
    let mut customers = Customers::new();
    for step in 0..60 {
        customers.append(&bank, 20).await;
        if step == 30 {
            controls.edition.store(1, Ordering::Relaxed);
            bank.rebuild_projection("accounts").await.unwrap();
        }
        clock.advance(Duration::from_millis(500));
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    while !stored(&db, "event:bank.accounts:").await.is_empty() {
        clock.advance(Duration::from_secs(1));
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    for worker in workers {
        worker.stop().await;
    }
    assert!(faulty.faults().injected() > 20, "{} faults", faulty.faults().injected());
    assert_folded(&bank, 1).await;
    assert_eq!(generations(&db).await, [(2, keys_of(&rows(&bank).await))].into());
    // An account's model publishes that it was opened: once, whatever was tried again and rebuilt.
    let opened = bank.events("account.*.opened");
    let opened = futures::TryStreamExt::try_collect::<Vec<_>>(opened).await.unwrap();
    assert_eq!(stored(&db, "event:opened:").await.len(), opened.len());
}
