//! Stores that are used from several runtimes.

use std::sync::mpsc;
use std::time::Duration;

use futures::FutureExt;
use tito_core::prelude::*;
use tito_eventstore::{EventStoreError, Select};
use tito_testkit::{Call, FaultEngine, TestClock, WithFaults};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;

use crate::support::*;

/// So that a fact that would wait for ever fails.
const PATIENCE: Duration = Duration::from_secs(60);

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

#[fact]
pub async fn an_append_outlives_the_runtime_that_was_to_serve_it(db: Database, _: TestClock) {
    let store = store(&db).await;
    let other = store.clone();
    std::thread::spawn(move || {
        // The task that serves appends is spawned, and its runtime ends before it runs.
        runtime().block_on(async { assert!(other.append(event("a.1", "x")).now_or_never().is_none()) });
    })
    .join()
    .unwrap();
    let appended = tokio::time::timeout(PATIENCE, store.append(event("a.1", "y"))).await;
    assert_eq!(appended.expect("somebody serves it").unwrap(), 1);
}

#[fact]
pub async fn an_append_that_waited_for_a_runtime_that_ended_is_served_anew(db: Database, _: TestClock) {
    let db = FaultEngine::new(db).database();
    let store = store(&db).await;
    let gate = db.faults().at(Call::Commit).hold();
    let ((begun, has_begun), (end, may_end)) = (oneshot::channel(), oneshot::channel::<()>());
    let other = store.clone();
    let serving = std::thread::spawn(move || {
        let runtime = runtime();
        let append = runtime.spawn(async move { other.append(event("a.1", "x").id("first")).await });
        runtime.block_on(async move {
            gate.arrivals(1).await;
            begun.send(append).unwrap();
            may_end.await.unwrap();
        });
    });
    let begun = has_begun.await.unwrap();
    // It waits for the commit of the first.
    let mut second = std::pin::pin!(store.append(event("a.1", "y").id("second")));
    assert!(second.as_mut().now_or_never().is_none());
    end.send(()).unwrap();
    tokio::task::spawn_blocking(move || serving.join().unwrap()).await.unwrap();
    assert!(begun.await.unwrap_err().is_cancelled());
    // Nobody had looked at the second, so it is served anew.
    let appended = tokio::time::timeout(PATIENCE, second).await.expect("somebody serves it");
    assert_eq!(appended.unwrap(), 1);
    assert_eq!(sequences(&store, Select::all()).await, [1]);
}

#[fact]
pub async fn an_append_that_a_runtime_was_committing_when_it_ended_is_unknown(db: Database, _: TestClock) {
    let db = FaultEngine::new(db).database();
    let store = store(&db).await;
    let gate = db.faults().at(Call::Commit).hold();
    let ((begun, has_begun), (go_on, may_go_on)) = (oneshot::channel(), mpsc::channel());
    let (other, held) = (store.clone(), gate.clone());
    let serving = std::thread::spawn(move || {
        let runtime = runtime();
        runtime.block_on(async move {
            // It is dropped at once, what serves it stays.
            assert!(other.append(event("a.1", "x")).now_or_never().is_none());
            begun.send(()).unwrap();
            // What serves it must not run before the second waits too, so the thread waits and not the task.
            may_go_on.recv().unwrap();
            held.arrivals(1).await;
        });
    });
    has_begun.await.unwrap();
    let mut second = std::pin::pin!(store.append(event("a.1", "y")));
    assert!(second.as_mut().now_or_never().is_none());
    go_on.send(()).unwrap();
    // Both are being committed when the runtime ends.
    tokio::task::spawn_blocking(move || serving.join().unwrap()).await.unwrap();
    let error = tokio::time::timeout(PATIENCE, second).await.expect("an answer").unwrap_err();
    let EventStoreError::Engine(error) = error else { panic!("{error:?}") };
    assert!(!error.is_not_committed(), "{error:?}");
}
