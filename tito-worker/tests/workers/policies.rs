//! What a subscription can be told, and what a running worker notices of its topic.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tito_core::Transaction;
use tito_core::clock::Clock;
use tito_core::event::TitoEvent;
use tito_core::prelude::*;
use tito_testkit::{Call, FaultEngine, Gate, Harness, TestClock, WithFaults};
use tito_worker::prelude::*;
use tito_worker::{Exhausted, QueueError, RateLimit};
use tito_worker::{Order, Outcome, RetryPolicy, Subscription};
use tokio::sync::mpsc::UnboundedReceiver;

use crate::support::*;

fn seconds(clock: &TestClock) -> i64 {
    (clock.now_millis() / 1000) as i64
}

/// The entities of the next events that a worker tells of, while the clock goes on.
async fn next_told(told: &mut UnboundedReceiver<TitoEvent>, clock: &TestClock, events: usize) -> BTreeSet<String> {
    let mut entities = BTreeSet::new();
    while entities.len() < events {
        tokio::select! {
            biased;
            event = told.recv() => assert!(entities.insert(event.unwrap().entity)),
            () = tokio::time::sleep(Duration::from_millis(1)) => clock.advance(Duration::from_millis(100)),
        }
    }
    entities
}

#[fact]
pub async fn no_more_events_are_handed_out_than_the_rate_limit_allows(db: Database, clock: TestClock) {
    TitoQueue::new(db.clone()).create_topic("job", 4).await.unwrap();
    for takes_batches in [false, true] {
        publish(&db, (0..80).map(job)).await;
        let times = Arc::new(Mutex::new(Vec::new()));
        let limited = Subscription::default().batch(7).rate_limit(RateLimit::new(20, Duration::from_secs(1)));
        let (noted, clock_of_handlers) = (times.clone(), clock.clone());
        let note = move |events: usize| {
            noted.lock().unwrap().extend(vec![clock_of_handlers.now_millis(); events]);
        };
        let builder = Worker::builder(TitoQueue::new(db.clone()));
        let running = Running::start(if takes_batches {
            builder.subscribe_with("job", limited, move |events: Vec<TitoEvent>| {
                note(events.len());
                async { Done::Ok(()) }
            })
        } else {
            builder.subscribe_with("job", limited, move |_: TitoEvent| {
                note(1);
                async { Done::Ok(()) }
            })
        });
        while times.lock().unwrap().len() < 80 {
            clock.advance(Duration::from_millis(10));
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        running.stop().await;
        // One in 50 ms, and a tenth of the limit at once.
        let times = times.lock().unwrap();
        for (i, from) in times.iter().enumerate() {
            for (j, to) in times.iter().enumerate().skip(i) {
                let allowed = (to - from) / 50 + 2;
                assert!((j - i + 1) as u64 <= allowed, "{} events in {} ms", j - i + 1, to - from);
            }
        }
    }
}

#[fact]
pub async fn a_subscribers_delay_is_counted_once_from_the_due_time(db: Database, clock: TestClock) {
    for order in [Order::Relaxed, Order::Strict] {
        publish(&db, [job("a")]).await;
        let first = seconds(&clock);
        publish(&db, [job("b").at(at_second(first + 200))]).await;
        let retry = RetryPolicy::default().first_delay(Duration::from_secs(10)).jitter(0.0);
        let options = Subscription::default().delay(Duration::from_millis(29_001)).order(order).retry(retry);
        let run = AtomicUsize::new(0);
        let mut harness = Harness::new(&db, &clock).subscribe_with("job", options, move |_: TitoEvent| {
            let run = run.fetch_add(1, Ordering::SeqCst);
            async move {
                match run {
                    0 => Err(error("not yet")),
                    1 => Ok(Outcome::RescheduleTo(at_second(first + 100))),
                    _ => Ok(Outcome::Done),
                }
            }
        });
        let mut handed_out_at = Vec::new();
        for _ in 0..240 {
            let handled = harness.advance(Duration::from_secs(1)).await.unwrap();
            handed_out_at.extend(handled.iter().map(|_| seconds(&clock) - first));
        }
        assert_eq!(handed_out_at, [30, 40, 100, 230], "{order:?}");
    }
}

#[fact]
pub async fn a_failure_of_the_engine_is_not_delayed_by_the_subscribers_delay(db: Database, clock: TestClock) {
    let db = FaultEngine::new(db).database();
    publish(&db, [job("a")]).await;
    let options = Subscription::default().delay(Duration::from_secs(3600));
    let mut harness =
        Harness::new(&db, &clock).subscribe_with("job", options, |event: TitoEvent, tx: Transaction| async move {
            count(&tx, format!("effect:{}", event.entity)).await
        });
    db.faults().at(Call::Commit).key_prefix("effect:").storage_error();
    assert_eq!(harness.advance(Duration::from_secs(3600)).await.unwrap().len(), 1);
    assert_eq!(harness.advance(Duration::from_secs(1)).await.unwrap().len(), 1);
    assert_eq!(counts(&db, "effect:").await, [1]);
}

#[fact]
pub async fn an_event_is_discarded_after_its_last_attempt_if_the_subscription_says_so(db: Database, clock: TestClock) {
    let options = || {
        let retry = RetryPolicy::default().attempts(2).first_delay(Duration::ZERO);
        Subscription::default().exhausted(Exhausted::Discard).retry(retry)
    };
    let mut harness = Harness::new(&db, &clock)
        .subscribe_with("job", options(), |_: TitoEvent| async { Done::Err(error("never")) })
        .subscribe_with("other", options(), |_: TitoEvent, _: Transaction| async { Done::Err(error("never")) });
    publish(&db, [job("a"), Publish::new("other", "a")]).await;
    assert_eq!(harness.advance(Duration::from_secs(2)).await.unwrap().len(), 4);
    assert_eq!((harness.report().retried, harness.report().discarded, harness.report().dead), (2, 2, 0));
    assert_eq!(stored(&db, "event:").await.len() + stored(&db, "dead:").await.len(), 0);
    // What a handler gives up itself is kept.
    let mut harness = Harness::new(&db, &clock).subscribe_with("job", options(), |_: TitoEvent| async {
        Ok::<_, TitoError>(Outcome::DeadLetter("no".to_string()))
    });
    publish(&db, [job("a")]).await;
    harness.drain().await.unwrap();
    assert_eq!((harness.report().dead, stored(&db, "dead:").await.len()), (1, 1));
}

#[fact]
pub async fn no_more_batches_of_a_partition_run_at_once_than_its_concurrency(db: Database, _: TestClock) {
    with_one_partition(&db).await;
    publish(&db, (0..30).map(job)).await;
    let gate = Gate::new();
    let (begun, running) = (Arc::new(AtomicUsize::new(0)), gate.clone());
    let options = Subscription::default().concurrency(2).batch(3);
    let counted = begun.clone();
    let worker = Running::start(Worker::builder(TitoQueue::new(db.clone())).subscribe_with(
        "job",
        options,
        move |events: Vec<TitoEvent>| {
            counted.fetch_add(events.len(), Ordering::SeqCst);
            let gate = running.clone();
            async move {
                gate.pass().await;
                Done::Ok(())
            }
        },
    ));
    gate.arrivals(2).await;
    for _ in 0..1000 {
        tokio::task::yield_now().await;
    }
    assert_eq!(begun.load(Ordering::SeqCst), 6);
    gate.open();
    while !stored(&db, "event:").await.is_empty() {
        tokio::task::yield_now().await;
    }
    assert_eq!(worker.stop().await.done, 30);
}

#[fact]
pub async fn a_running_worker_notices_that_its_queue_is_paused_and_resumed(db: Database, clock: TestClock) {
    // Another process pauses it.
    let (worker, mut told) = telling(&FaultEngine::new(db.clone()).with_foreign_writers().database());
    let running = Running::start(worker.schedules(false));
    let queue = TitoQueue::new(db.clone());
    for round in 0..2 {
        publish(&db, [job(format!("{round} before"))]).await;
        next_told(&mut told, &clock, 1).await;
        queue.pause("job").await.unwrap();
        // It reads the topic once a second.
        skip(Duration::from_secs(1)).await;
        // A worker that reads no partition waits for no time.
        while clock.next_wait().is_some() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        publish(&db, (0..20).map(|n| job(format!("{round}-{n}")))).await;
        clock.advance(Duration::from_secs(60));
        for _ in 0..1000 {
            tokio::task::yield_now().await;
        }
        assert!(told.try_recv().is_err(), "handed out while the queue is paused");
        queue.resume("job").await.unwrap();
        skip(Duration::from_secs(1)).await;
        assert_eq!(next_told(&mut told, &clock, 20).await.len(), 20);
    }
    assert_eq!(running.stop().await.done, 42);
}

#[fact]
pub async fn partitions_that_are_added_while_workers_run_are_served(db: Database, clock: TestClock) {
    with_one_partition(&db).await;
    let queue = TitoQueue::new(db.clone());
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let workers: Vec<_> = (0..2)
        .map(|mine| {
            let (other_process, tell) = (FaultEngine::new(db.clone()).with_foreign_writers().database(), tell.clone());
            let builder = Worker::builder(TitoQueue::new(other_process)).partitions(PartitionConfig::new(2, mine));
            Running::start(builder.subscribe("job", move |event: TitoEvent| {
                tell.send(event).unwrap();
                async { Done::Ok(()) }
            }))
        })
        .collect();
    publish(&db, [job("first")]).await;
    next_told(&mut told, &clock, 1).await;
    for partitions in [8, 3, 12] {
        // The clock is turned for the workers too, so a commit that the machine takes long for can be too old. What was
        // begun is finished by asking again.
        while let Err(error) = turning(&clock, queue.resize_topic("job", partitions)).await {
            assert!(matches!(error, QueueError::Engine(TitoError::TransactionTooOld { .. })), "{error}");
        }
        publish(&db, (0..100).map(job)).await;
        assert_eq!(next_told(&mut told, &clock, 100).await.len(), 100);
        while !stored(&db, "event:").await.is_empty() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    for worker in workers {
        assert!(worker.stop().await.done > 0);
    }
}

#[fact]
pub async fn a_rate_limit_goes_on_when_the_clock_jumps_back(db: Database, clock: TestClock) {
    with_one_partition(&db).await;
    publish(&db, [job("a"), job("b")]).await;
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let options = Subscription::default().concurrency(1).rate_limit(RateLimit::new(1, Duration::from_secs(10)));
    let worker = Worker::builder(TitoQueue::new(db.clone())).subscribe_with("job", options, move |event: TitoEvent| {
        tell.send(event.entity).unwrap();
        async { Done::Ok(()) }
    });
    let running = Running::start(worker);
    told.recv().await.unwrap();
    for _ in 0..1_000 {
        tokio::task::yield_now().await;
    }
    let before = clock.now_millis();
    clock.set(before - 7_200_000);
    loop {
        tokio::select! {
            biased;
            event = told.recv() => break assert!(event.is_some()),
            () = tokio::time::sleep(Duration::from_millis(1)) => clock.advance(Duration::from_millis(500)),
        }
        assert!(clock.now_millis() < before, "handed out only when the clock was where it had been");
    }
    running.stop().await;
}

/// The clocks of a cluster's machines differ from the database's.
#[fact]
pub async fn a_failure_of_the_engine_is_tried_again_in_the_engines_time(db: Database, clock: TestClock) {
    let ahead = TestClock::at(clock.now_millis() + 3_600_000);
    let db = FaultEngine::new(db).with_clock(ahead.shared()).database();
    publish(&db, [job("a")]).await;
    let mut harness = Harness::new(&db, &clock).subscribe_with(
        "job",
        Subscription::default(),
        |event: TitoEvent, tx: Transaction| async move { count(&tx, format!("effect:{}", event.entity)).await },
    );
    db.faults().at(Call::Commit).key_prefix("effect:").storage_error();
    assert_eq!(harness.drain().await.unwrap().len(), 1);
    ahead.advance(Duration::from_secs(1));
    assert_eq!(harness.advance(Duration::from_secs(1)).await.unwrap().len(), 1);
    assert_eq!(counts(&db, "effect:").await, [1]);
}
