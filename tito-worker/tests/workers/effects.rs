//! Transactional handlers, and engines that fail.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tito_core::Transaction;
use tito_core::event::TitoEvent;
use tito_core::prelude::*;
use tito_testkit::{Call, FaultEngine, Gate, Harness, TestClock, WithFaults};
use tito_worker::prelude::*;
use tito_worker::{RetryPolicy, Subscription};

use crate::support::*;

fn patient() -> Subscription {
    Subscription::default().retry(RetryPolicy::default().attempts(1_000).longest_delay(Duration::from_secs(2)))
}

#[fact]
pub async fn a_failed_handler_leaves_no_effect(db: Database, clock: TestClock) {
    publish(&db, ["error", "panic", "fine"].map(job)).await;
    let gate = Gate::new();
    let handler = {
        let gate = gate.clone();
        move |event: TitoEvent, tx: Transaction| {
            let gate = gate.clone();
            async move {
                count(&tx, format!("effect:{}", event.entity)).await?;
                if event.failed_attempts == 0 {
                    match event.entity.as_str() {
                        "error" => return Done::Err(error("no")),
                        "panic" => panic!("no"),
                        "timeout" => gate.pass().await,
                        _ => {}
                    }
                }
                Done::Ok(())
            }
        }
    };
    let options = patient().timeout(Duration::from_secs(1));
    let mut harness = Harness::new(&db, &clock).subscribe_with("job", options, handler);
    let ended = harness.drain().await.unwrap().len();
    // By itself, so that the clock, when it is turned, finds no other handler or commit under way.
    publish(&db, [job("timeout")]).await;
    let draining = tokio::spawn(async move { (harness.drain().await, harness) });
    gate.arrivals(1).await;
    clock.advance(Duration::from_secs(1));
    let (handled, mut harness) = draining.await.unwrap();
    assert!(ended + handled.unwrap().len() >= 4);
    harness.advance(Duration::from_secs(5)).await.unwrap();
    assert_eq!(counts(&db, "effect:").await, [1; 4]);
    assert_eq!((harness.report().retried, harness.report().done), (3, 4));
}

#[fact]
pub async fn a_handler_gets_its_event_as_it_is_stored_by_then(db: Database, clock: TestClock) {
    with_one_partition(&db).await;
    publish(&db, [job("a").action("first")]).await;
    publish(&db, [job("a").action("second")]).await;
    // Both are read before the first is handled, and the second waits for it.
    let handler = {
        let other = db.clone();
        move |event: TitoEvent, _: Transaction| {
            let other = other.clone();
            async move {
                if event.action == "first" {
                    for (key, value) in stored(&other, "event:job:").await {
                        let waiting = TitoEvent::decode(&key, &value)?;
                        if waiting.action == "second" {
                            // As another worker would, that had handled it before this one.
                            put(&other, key, TitoEvent { failed_attempts: 3, ..waiting }.encode()?).await;
                        }
                    }
                }
                Done::Ok(())
            }
        }
    };
    let mut harness = Harness::new(&db, &clock).subscribe_with("job", patient(), handler);
    let handled = harness.drain().await.unwrap();
    assert_eq!((handled.len(), harness.report().done), (2, 2));
    assert_eq!(handled[1].event.failed_attempts, 3);
}

#[fact]
pub async fn a_handler_that_meets_a_conflict_is_run_again(db: Database, clock: TestClock) {
    publish(&db, [job("a")]).await;
    let runs = Arc::new(AtomicU32::new(0));
    let handler = {
        let (runs, other) = (runs.clone(), db.clone());
        move |_: TitoEvent, tx: Transaction| {
            let (run, other) = (runs.fetch_add(1, Ordering::SeqCst), other.clone());
            async move {
                count(&tx, "effect:a".to_string()).await?;
                if run < 3 {
                    other.transaction(|tx| async move { count(&tx, "effect:a".to_string()).await }).await?;
                }
                Done::Ok(())
            }
        }
    };
    let mut harness = Harness::new(&db, &clock).subscribe_with("job", patient(), handler);
    harness.drain().await.unwrap();
    assert_eq!((harness.report().done, harness.report().retried), (1, 0));
    assert_eq!((runs.load(Ordering::SeqCst), counts(&db, "effect:").await), (4, vec![4]));
}

#[fact]
pub async fn an_effect_happens_once_whatever_became_of_an_unknown_commit(db: Database, clock: TestClock) {
    clock.must_stand_still();
    let db = FaultEngine::new(db).database();
    publish(&db, ["after", "without"].map(job)).await;
    db.faults().at(Call::Commit).key_prefix("effect:after").unknown_after_effect();
    db.faults().at(Call::Commit).key_prefix("effect:without").unknown_without_effect();
    let mut harness =
        Harness::new(&db, &clock).subscribe_with("job", patient(), |event: TitoEvent, tx: Transaction| async move {
            count(&tx, format!("effect:{}", event.entity)).await
        });
    assert_eq!(harness.drain().await.unwrap().len(), 2);
    assert_eq!(counts(&db, "effect:").await, [1]);
    // The engine failed and not the handler, so no attempt is counted.
    let report = harness.report();
    assert_eq!((report.elsewhere, report.rescheduled, report.retried), (1, 1, 0));
    assert_eq!(harness.advance(Duration::from_secs(2)).await.unwrap().len(), 1);
    assert_eq!(counts(&db, "effect:").await, [1, 1]);
}

/// Every kind of call fails now and then, in every way, while events are published and consumed.
#[fact]
pub async fn every_event_is_handled_and_every_effect_happens_once_while_every_call_may_fail(
    db: Database,
    clock: TestClock,
) {
    let db = FaultEngine::seeded(db, tito_testkit::seed()).database();
    for topic in ["plain", "once"] {
        TitoQueue::new(db.clone()).create_topic(topic, 2).await.unwrap();
    }
    let calls = [Call::Begin, Call::Get, Call::BatchGet, Call::Scan, Call::Put, Call::Delete, Call::Commit];
    for call in calls {
        db.faults().at(call).with_probability(0.01).storage_error();
    }
    for call in [Call::Get, Call::Put, Call::Delete, Call::Commit] {
        db.faults().at(call).with_probability(0.01).conflict();
    }
    db.faults().at(Call::Commit).with_probability(0.01).unknown_after_effect();
    db.faults().at(Call::Commit).with_probability(0.01).unknown_without_effect();
    let inner = db.without_faults().clone();
    let builder = Worker::builder(TitoQueue::new(db.clone()))
        .subscribe_with("plain", patient(), move |event: TitoEvent| {
            let db = inner.clone();
            async move { db.transaction(|tx| async move { count(&tx, format!("seen:{}", event.entity)).await }).await }
        })
        .subscribe_with("once", patient(), |event: TitoEvent, tx: Transaction| async move {
            count(&tx, format!("effect:{}", event.entity)).await
        });
    let running = Running::start(builder);
    let queue = TitoQueue::new(db.clone());
    for step in 0..150 {
        for topic in ["plain", "once"] {
            let queue = queue.clone();
            // One that fails is not published, or is all the same; what is stored decides.
            let _ = db
                .transaction(|tx| async move {
                    let id = queue.publish(Publish::new(topic, step.to_string()), &tx).await?;
                    tx.put(format!("published:{topic}:{step}").into_bytes(), id.id.to_string().into_bytes()).await
                })
                .await;
        }
        clock.advance(Duration::from_millis(100));
    }
    let inner = db.without_faults().clone();
    while !stored(&inner, "event:").await.is_empty() {
        clock.advance(Duration::from_millis(100));
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    db.faults().clear();
    running.stop().await;
    assert!(db.faults().injected() > 20, "{} faults", db.faults().injected());
    assert_eq!(stored(&inner, "dead:").await.len(), 0);
    assert_eq!(counts(&inner, "effect:").await, vec![1; stored(&inner, "published:once:").await.len()]);
    assert_eq!(counts(&inner, "seen:").await.len(), stored(&inner, "published:plain:").await.len());
}

#[fact]
pub async fn a_failure_of_the_engine_is_no_attempt(db: Database, clock: TestClock) {
    clock.must_stand_still();
    let db = FaultEngine::new(db).database();
    publish(&db, [job("a")]).await;
    let once = Subscription::default().retry(RetryPolicy::default().attempts(1));
    let mut harness =
        Harness::new(&db, &clock).subscribe_with("job", once, |event: TitoEvent, tx: Transaction| async move {
            count(&tx, format!("effect:{}", event.failed_attempts)).await
        });
    for _ in 0..3 {
        db.faults().at(Call::Commit).key_prefix("effect:").storage_error();
        harness.drain().await.unwrap();
        assert_eq!(counts(&db, "effect:").await.len(), 0);
        clock.advance(Duration::from_secs(2));
    }
    harness.drain().await.unwrap();
    assert_eq!(counts(&db, "effect:0").await, [1]);
    assert_eq!((harness.report().done, harness.report().rescheduled, harness.report().dead), (1, 3, 0));
}

/// By the 32nd conflict in a row it is the handler that is at fault, and not those that it meets.
#[fact]
pub async fn a_handler_that_conflicts_with_itself_fails(db: Database, clock: TestClock) {
    publish(&db, [job("a")]).await;
    let other = db.clone();
    let runs = Arc::new(AtomicU32::new(0));
    let once = Subscription::default().retry(RetryPolicy::default().attempts(1));
    let counted = runs.clone();
    let mut harness = Harness::new(&db, &clock).subscribe_with("job", once, move |_: TitoEvent, tx: Transaction| {
        counted.fetch_add(1, Ordering::SeqCst);
        let other = other.clone();
        async move {
            put(&other, "row", "other").await;
            tx.put(b"row".to_vec(), b"own".to_vec()).await
        }
    });
    harness.drain().await.unwrap();
    assert_eq!((harness.report().dead, runs.load(Ordering::SeqCst)), (1, 32));
    let letters = TitoQueue::new(db.clone()).dead_letters("job", 10, None).await.unwrap();
    let failure = letters.into_iter().next().unwrap().event.unwrap().failures.pop().unwrap();
    assert!(failure.error.contains("32"), "{}", failure.error);
}
