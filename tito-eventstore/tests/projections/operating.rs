//! Rebuilds that are operations.

use std::pin::pin;
use std::sync::atomic::Ordering;

use tito_core::event::TitoEvent;
use tito_core::prelude::*;
use tito_eventstore::{EventStore, EventStoreError};
use tito_testkit::{Call, FaultEngine, TestClock, WithFaults};
use tito_worker::prelude::*;
use tito_worker::{Operation, OperationInfo, OperationState, OperationTask, Operator, QueueError};
use uuid::Uuid;

use crate::support::{AccountsOf, Customers, Running, assert_folded, generations, projected, rows};

async fn start(db: &Database) -> Uuid {
    let task = OperationTask::Rebuild { store: "bank".to_string(), projection: "accounts".to_string() };
    TitoQueue::new(db.clone()).operations().start(Operation::new(task, &Operator::new("ada"))).await.unwrap()
}

/// A worker of the projection that is not run.
fn knows(db: &Database, projection: &AccountsOf) -> Worker {
    projection.subscribe(Worker::builder(TitoQueue::new(db.clone()))).build()
}

/// Runs a call to its end, turning the clock whenever it is waited for.
async fn turning<T>(clock: &TestClock, call: impl Future<Output = T>) -> T {
    let mut call = pin!(call);
    loop {
        tokio::select! {
            biased;
            value = &mut call => return value,
            next = clock.waited_for() => clock.advance_to(next),
        }
    }
}

#[fact]
pub async fn a_projection_is_rebuilt_by_a_worker_that_has_it(db: Database, _: TestClock) {
    let (bank, projection, controls) = projected(&db).await;
    Customers::new().append(&bank, 450).await;
    projection.catch_up().await.unwrap();
    controls.edition.store(1, Ordering::Relaxed);
    let operations = TitoQueue::new(db.clone()).operations();
    let id = start(&db).await;
    assert!(matches!(operations.run(id).await, Err(QueueError::UnknownStep { .. })));
    let no_projection =
        Worker::builder(TitoQueue::new(db.clone())).subscribe("job", |_: TitoEvent| async { Ok::<_, TitoError>(()) });
    assert!(matches!(no_projection.build().run_operation(id).await, Err(QueueError::UnknownStep { .. })));
    let running = Running::start(&db, &projection);
    let info = operations.wait(id).await.unwrap();
    assert_eq!((info.state, info.done, info.at_least), (OperationState::Done, 450, 450));
    running.stop().await;
    projection.catch_up().await.unwrap();
    assert_folded(&bank, 1).await;
}

#[fact]
pub async fn a_death_at_any_commit_of_a_rebuild_begins_no_second_one(db: Database, clock: TestClock) {
    let db = FaultEngine::new(db).database();
    let (bank, projection, controls) = projected(&db).await;
    Customers::new().append(&bank, 450).await;
    projection.catch_up().await.unwrap();
    for n in 1.. {
        let edition = controls.edition.fetch_add(1, Ordering::Relaxed) + 1;
        let last = *generations(&db).await.keys().max().unwrap();
        let id = start(&db).await;
        let worker = knows(&db, &projection);
        let gate = db.faults().at(Call::Commit).nth(n).hold();
        let was_killed = tokio::select! {
            biased;
            () = gate.arrivals(1) => true,
            info = turning(&clock, worker.run_operation(id)) => {
                assert_eq!(info.unwrap().state, OperationState::Done);
                false
            }
        };
        db.faults().clear();
        let info: OperationInfo = turning(&clock, worker.run_operation(id)).await.unwrap();
        assert_eq!((info.state, info.done), (OperationState::Done, 450), "{n}");
        turning(&clock, projection.catch_up()).await.unwrap();
        assert_folded(&bank, edition).await;
        let left: Vec<u64> = generations(&db).await.into_keys().collect();
        assert_eq!(left, [last + 1], "{n}: one new generation");
        if !was_killed {
            assert!(n > 5, "it takes several steps, not {n}");
            break;
        }
    }
}

async fn is_being_rebuilt(bank: &EventStore) -> bool {
    loop {
        match bank.projection("accounts").await {
            // The clock was turned on while it was read.
            Err(EventStoreError::Engine(TitoError::TransactionTooOld { .. })) => {}
            info => return info.unwrap().rebuild.is_some(),
        }
    }
}

#[fact]
pub async fn a_rebuild_that_is_stopped_is_abandoned(db: Database, clock: TestClock) {
    let db = FaultEngine::new(db).database();
    let (bank, projection, controls) = projected(&db).await;
    Customers::new().append(&bank, 450).await;
    projection.catch_up().await.unwrap();
    let before = rows(&bank).await;
    let operations = TitoQueue::new(db.clone()).operations();
    controls.fail(Some((420, "not yet")));
    let id = start(&db).await;
    // It has folded some, and stands still.
    let worker = knows(&db, &projection);
    let gate = db.faults().at(Call::Commit).key_prefix("log:").nth(3).hold();
    tokio::select! {
        () = gate.arrivals(1) => {}
        info = turning(&clock, worker.run_operation(id)) => panic!("{info:?}"),
    }
    db.faults().clear();
    assert!(is_being_rebuilt(&bank).await);
    assert!(operations.stop(id).await.unwrap());
    let running = Running::start(&db, &projection);
    turning(&clock, async {
        while is_being_rebuilt(&bank).await {
            tokio::task::yield_now().await;
        }
    })
    .await;
    running.stop().await;
    controls.fail(None);
    turning(&clock, projection.catch_up()).await.unwrap();
    assert_eq!(rows(&bank).await, before);
    assert_eq!(generations(&db).await.len(), 1, "nothing is left of it");
    assert_eq!(operations.get(id).await.unwrap().state, OperationState::Stopped);
}

#[fact]
pub async fn a_rebuild_that_fails_says_at_which_event_and_one_that_is_replaced_that_it_is(
    db: Database,
    clock: TestClock,
) {
    let (bank, projection, controls) = projected(&db).await;
    Customers::new().append(&bank, 50).await;
    projection.catch_up().await.unwrap();
    controls.fail(Some((17, "no room")));
    let id = start(&db).await;
    let worker = knows(&db, &projection);
    let info = turning(&clock, worker.run_operation(id)).await.unwrap();
    assert_eq!(info.state, OperationState::Failed);
    let failure = info.failure.unwrap();
    assert!(failure.contains("17"), "{failure}");

    // The rebuild itself is there to go on once the projector can.
    controls.fail(None);
    turning(&clock, projection.catch_up()).await.unwrap();
    assert_folded(&bank, 0).await;
}

#[fact]
pub async fn a_rebuild_in_whose_place_another_has_begun_says_so(db: Database, clock: TestClock) {
    let db = FaultEngine::new(db).database();
    let (bank, projection, _) = projected(&db).await;
    Customers::new().append(&bank, 450).await;
    projection.catch_up().await.unwrap();
    let id = start(&db).await;
    let worker = knows(&db, &projection);
    let gate = db.faults().at(Call::Commit).key_prefix("log:").nth(3).hold();
    tokio::select! {
        () = gate.arrivals(1) => {}
        info = turning(&clock, worker.run_operation(id)) => panic!("{info:?}"),
    }
    db.faults().clear();
    bank.rebuild_projection("accounts").await.unwrap();
    let info = turning(&clock, worker.run_operation(id)).await.unwrap();
    assert_eq!(info.state, OperationState::Failed);
    assert!(info.failure.unwrap().contains("another rebuild"));
    turning(&clock, projection.catch_up()).await.unwrap();
    assert_folded(&bank, 0).await;
}
