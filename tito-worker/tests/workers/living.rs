//! Pausing, stopping, and workers beside one another.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::FutureExt;
use tito_core::Transaction;
use tito_core::event::TitoEvent;
use tito_core::prelude::*;
use tito_testkit::{Call, FaultEngine, Gate, Harness, TestClock, WithFaults};
use tito_worker::prelude::*;
use tito_worker::{Subscription, WorkerReport};
use tokio::sync::mpsc;

use crate::support::*;

#[fact]
pub async fn a_paused_worker_handles_nothing_and_loses_nothing(db: Database, _: TestClock) {
    let active = Arc::new(AtomicBool::new(false));
    let (worker, mut told) = telling(&db);
    let running = Running::start(worker.active_while(active.clone()));
    for round in 0..3 {
        publish(&db, (0..20).map(|n| job(format!("{round}-{n}")))).await;
        // The worker looks at the flag every 50 ms; several looks.
        tokio::time::sleep(Duration::from_millis(120)).await;
        assert!(told.try_recv().is_err(), "handled while paused");
        active.store(true, Ordering::SeqCst);
        for _ in 0..20 {
            told.recv().await.unwrap();
        }
        active.store(false, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(120)).await;
    }
    assert_eq!(running.stop().await.done, 60);
    assert_eq!(stored(&db, "event:").await.len(), 0);
}

/// A worker of one partition whose handlers wait at a gate.
fn gated(db: &Database, gate: &Gate) -> tito_worker::WorkerBuilder {
    let gate = gate.clone();
    let options = Subscription::default().concurrency(3);
    Worker::builder(TitoQueue::new(db.clone())).subscribe_with("job", options, move |_: TitoEvent| {
        let gate = gate.clone();
        async move {
            gate.pass().await;
            Done::Ok(())
        }
    })
}

#[fact]
pub async fn running_handlers_finish_and_unstarted_events_stay(db: Database, clock: TestClock) {
    with_one_partition(&db).await;
    publish(&db, (0..10).map(|n| job(n % 5))).await;
    let gate = Gate::new();
    let running = Running::start(gated(&db, &gate));
    gate.arrivals(3).await;
    let stopping = tokio::spawn(running.stop());
    for _ in 0..1000 {
        tokio::task::yield_now().await;
    }
    assert!(!stopping.is_finished());
    gate.open();
    let report = stopping.await.unwrap();
    assert_eq!((report.done, report.unfinished), (3, 0));
    assert_eq!(stored(&db, "event:").await.len(), 7);
    let mut harness = Harness::new(&db, &clock).subscribe("job", |_: TitoEvent| async { Done::Ok(()) });
    assert_eq!(harness.drain().await.unwrap().len(), 7);
}

#[fact]
pub async fn handlers_past_the_deadline_are_counted_and_their_events_handed_out_again(db: Database, clock: TestClock) {
    with_one_partition(&db).await;
    publish(&db, (0..10).map(job)).await;
    let gate = Gate::new();
    let running = Running::start(gated(&db, &gate).shutdown_timeout(Duration::from_millis(20)));
    gate.arrivals(3).await;
    let report = running.stop().await;
    assert_eq!((report.done, report.unfinished), (0, 3));
    let mut harness = Harness::new(&db, &clock).subscribe("job", |_: TitoEvent| async { Done::Ok(()) });
    let handled = harness.drain().await.unwrap();
    assert_eq!(handled.len(), 10);
    assert!(handled.iter().all(|handled| handled.event.failed_attempts == 0));
}

#[fact]
pub async fn one_call_runs_a_worker_until_a_message_comes(db: Database, _: TestClock) {
    let queue = Arc::new(TitoQueue { engine: db.clone() });
    let (shutdown, shutdown_rx) = tokio::sync::broadcast::channel(1);
    let is_leader = Arc::new(AtomicBool::new(true));
    let (tell, mut told) = mpsc::unbounded_channel();
    let running = tokio::spawn(run_worker(
        queue,
        "job".to_string(),
        move |event| {
            let tell = tell.clone();
            async move {
                let _ = tell.send(event.entity);
                Ok(())
            }
            .boxed()
        },
        PartitionConfig::new(1, 0),
        is_leader,
        shutdown_rx,
    ));
    publish(&db, [job("a")]).await;
    assert_eq!(told.recv().await.unwrap(), "a");
    shutdown.send(()).unwrap();
    assert_eq!(running.await.unwrap().done, 1);
}

#[fact]
pub async fn one_worker_handles_several_topics(db: Database, clock: TestClock) {
    let mut harness = Harness::new(&db, &clock);
    for topic in ["a", "b", "c"] {
        harness = harness.subscribe(topic, move |event: TitoEvent| async move {
            assert_eq!(event.event_type, topic);
            Done::Ok(())
        });
    }
    publish(&db, (0..30).map(|n| Publish::new(["a", "b", "c"][n % 3], n.to_string()))).await;
    assert_eq!(harness.drain().await.unwrap().len(), 30);
    assert_eq!(harness.report().done, 30);
}

#[fact]
pub async fn two_workers_of_one_share_lose_nothing_and_commit_effects_once(db: Database, _: TestClock) {
    let builder = || {
        let seen = db.clone();
        let once = Subscription::default();
        Worker::builder(TitoQueue::new(db.clone()))
            .subscribe("plain", move |event: TitoEvent| {
                let db = seen.clone();
                async move { db.transaction(|tx| async move { count(&tx, format!("seen:{}", event.entity)).await }).await }
            })
            .subscribe_with("once", once, |event: TitoEvent, tx: Transaction| async move {
                count(&tx, format!("effect:{}", event.entity)).await
            })
    };
    let workers = [Running::start(builder()), Running::start(builder())];
    for step in 0..20 {
        publish(&db, (0..10).flat_map(|n| ["plain", "once"].map(|topic| Publish::new(topic, format!("{step}-{n}")))))
            .await;
    }
    while !stored(&db, "event:").await.is_empty() {
        tokio::task::yield_now().await;
    }
    let mut total = WorkerReport::default();
    for worker in workers {
        total += worker.stop().await;
    }
    assert_eq!(total.done, 400, "{total:?}");
    assert_eq!(counts(&db, "effect:").await, [1; 200]);
    assert_eq!(counts(&db, "seen:").await.len(), 200);
}

#[fact]
pub async fn a_worker_ends_while_its_topic_is_being_read(db: Database, _: TestClock) {
    let db = FaultEngine::new(db).database();
    let (worker, mut told) = telling(&db);
    let running = Running::start(worker.schedules(false));
    publish(&db, [job("a")]).await;
    told.recv().await.unwrap();
    // No answer comes for as long as the test runs.
    let reading = db.faults().at(Call::Get).key_prefix("topic:").always().hold();
    // It looks about every half a minute, and 15 s later at the latest.
    skip(Duration::from_secs(45)).await;
    reading.arrivals(1).await;
    assert_eq!(running.stop().await.done, 1);
}
