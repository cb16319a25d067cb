//! Strict order through redrives and changes of partitions, with workers that run in other processes.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tito_core::Transaction;
use tito_core::event::TitoEvent;
use tito_core::prelude::*;
use tito_testkit::{Call, FaultEngine, Gate, Harness, TestClock, WithFaults};
use tito_worker::keys;
use tito_worker::prelude::*;
use tito_worker::{Order, Outcome, RetryPolicy, Subscription};

use crate::strict::{by_entity, log, note, strict};
use crate::support::*;

/// Waits until the log is this long, while the clock stands still or goes on by `step`.
async fn logged(db: &Database, clock: &TestClock, entries: usize, step: Duration) {
    while log(db).await.len() < entries {
        clock.advance(step);
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// The event `1` of an entity dies at its first attempt, and `2` is postponed until `second`. All else is noted.
async fn dying_first(event: TitoEvent, tx: Transaction, second: i64) -> Result<Outcome, TitoError> {
    match event.action.as_str() {
        "1" if event.failures.is_empty() => return Ok(Outcome::DeadLetter("for now".to_string())),
        "2" if event.not_before.is_none() => return Ok(Outcome::RescheduleTo(at_second(second))),
        _ => note(&tx, &event).await?,
    }
    Ok(Outcome::Done)
}

fn minute_from<C: tito_core::clock::Clock>(clock: &C) -> i64 {
    (clock.now_millis() / 1000) as i64 + 60
}

#[fact]
pub async fn a_redriven_event_comes_before_what_waits_behind_a_later_one(db: Database, clock: TestClock) {
    with_one_partition(&db).await;
    for action in ["1", "2", "3"] {
        publish(&db, [job("a").action(action)]).await;
    }
    let minute = minute_from(&clock);
    let mut harness =
        Harness::new(&db, &clock)
            .subscribe_with("job", strict(), move |event: TitoEvent, tx: Transaction| dying_first(event, tx, minute));
    harness.drain().await.unwrap();
    assert_eq!((harness.report().dead, harness.report().rescheduled, log(&db).await.len()), (1, 1, 0));
    assert_eq!(TitoQueue::new(db.clone()).redrive_all("job").await.unwrap().events, 1);
    harness.drain().await.unwrap();
    assert_eq!(by_entity(log(&db).await)["a"], ["1"]);
    harness.advance(Duration::from_secs(60)).await.unwrap();
    assert_eq!(by_entity(log(&db).await)["a"], ["1", "2", "3"]);
}

#[fact]
pub async fn a_running_worker_hands_out_a_redriven_event_before_what_falls_due_meanwhile(
    db: Database,
    clock: TestClock,
) {
    TitoQueue::new(db.clone()).create_topic("job", 2).await.unwrap();
    let entities = ["a", "b", "c", "d", "e"];
    for action in ["1", "2", "3"] {
        publish(&db, entities.map(|entity| job(entity).action(action))).await;
    }
    let minute = minute_from(&clock);
    let other_process = FaultEngine::new(db.clone()).with_foreign_writers().database();
    let builder = Worker::builder(TitoQueue::new(other_process));
    let worker = Running::start(
        builder
            .subscribe_with("job", strict(), move |event: TitoEvent, tx: Transaction| dying_first(event, tx, minute)),
    );
    let postpone = async || {
        let places = places(&db, "event:job:").await;
        places.values().filter(|(_, event)| event.not_before.is_some()).count()
    };
    while postpone().await < 5 || stored(&db, "dead:job:").await.len() < 5 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    // All at once: the worker finds `2` due before it has heard of the redrive.
    assert_eq!(TitoQueue::new(db.clone()).redrive_all("job").await.unwrap().events, 5);
    clock.advance(Duration::from_secs(60));
    logged(&db, &clock, 15, Duration::from_millis(50)).await;
    worker.stop().await;
    for (entity, actions) in by_entity(log(&db).await) {
        assert_eq!(actions, ["1", "2", "3"], "{entity}");
    }
}

#[fact]
pub async fn strict_order_holds_while_partitions_change_under_running_workers(db: Database, clock: TestClock) {
    let seed = tito_testkit::seed();
    let random = Arc::new(Mutex::new(fastrand::Rng::with_seed(seed)));
    let queue = TitoQueue::new(db.clone());
    queue.create_topic("job", 3).await.unwrap();
    let start = |share, events| {
        let random = random.clone();
        let retry = RetryPolicy::default().attempts(1_000_000).first_delay(Duration::from_secs(1)).jitter(0.5);
        let retry = retry.longest_delay(Duration::from_secs(2));
        let options = Subscription::default().order(Order::Strict).retry(retry).batch(events);
        let other_process = FaultEngine::new(db.clone()).with_foreign_writers().database();
        let builder = Worker::builder(TitoQueue::new(other_process)).partitions(share).schedules(false);
        Running::start(builder.subscribe_with("job", options, move |event: TitoEvent, tx: Transaction| {
            let fails = random.lock().unwrap().u8(0..10) == 0;
            async move {
                if fails {
                    return Err(error("by chance"));
                }
                note(&tx, &event).await
            }
        }))
    };
    // The second one claims what is the first one's too.
    let workers = [start(PartitionConfig::all(), 4), start(PartitionConfig::new(2, 0), 1)];
    let mut published = 0;
    for partitions in [8, 2, 5] {
        let resizing = tokio::spawn({
            let queue = queue.clone();
            async move { queue.resize_topic("job", partitions).await }
        });
        for _ in 0..15 {
            publish(&db, (0..6).map(|entity| job(entity).action(format!("{published:03}")))).await;
            published += 1;
            clock.advance(Duration::from_millis(100));
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        // In steps that make no transaction too old.
        while !resizing.is_finished() {
            clock.advance(Duration::from_millis(100));
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        resizing.await.unwrap().unwrap();
    }
    logged(&db, &clock, 6 * published, Duration::from_millis(50)).await;
    for worker in workers {
        worker.stop().await;
    }
    let expected: Vec<_> = (0..published).map(|step| format!("{step:03}")).collect();
    for (entity, actions) in by_entity(log(&db).await) {
        assert_eq!(actions, expected, "{entity}");
    }
    assert_eq!(stored(&db, "event:").await.len() + stored(&db, "dead:").await.len(), 0);
}

/// The failed event is not stored where its handler got it from when its failure is to be recorded.
#[fact]
pub async fn what_waits_behind_a_failing_event_waits_on_where_both_are_moved(db: Database, clock: TestClock) {
    with_one_partition(&db).await;
    let entity = (0..).map(|number: u32| number.to_string()).find(|entity| keys::partition_of(entity, 2) == 1).unwrap();
    for action in ["1", "2"] {
        publish(&db, [job(&entity).action(action)]).await;
    }
    let (gate, has_failed) = (Gate::new(), Arc::new(AtomicBool::new(false)));
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let at_gate = gate.clone();
    let handler = move |event: TitoEvent| {
        let (tell, gate, is_first) = (tell.clone(), at_gate.clone(), !has_failed.swap(true, Ordering::SeqCst));
        async move {
            if is_first {
                gate.pass().await;
                return Err(error("once"));
            }
            tell.send(event.action).unwrap();
            Ok(())
        }
    };
    let subscription = strict().timeout(Duration::from_secs(3_600));
    let queue = TitoQueue::new(db.clone());
    let worker = Running::start(Worker::builder(queue.clone()).subscribe_with("job", subscription, handler));
    gate.arrivals(1).await;
    let resizing = tokio::spawn(async move { queue.resize_topic("job", 2).await });
    // In steps that make no transaction too old.
    while !resizing.is_finished() {
        clock.advance(Duration::from_millis(100));
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    resizing.await.unwrap().unwrap();
    gate.open();
    assert_eq!(told.recv().await.unwrap(), "1");
    assert_eq!(told.recv().await.unwrap(), "2");
    worker.stop().await;
}

/// The earlier of two events is moved already, and the later one not yet, when a worker reads what is there.
#[fact]
pub async fn a_worker_that_has_not_heard_of_a_change_of_partitions_keeps_the_order(db: Database, clock: TestClock) {
    with_one_partition(&db).await;
    let moves = |entity: &String| keys::partition_of(entity, 2) == 1;
    let entity = (1_000..).map(|number: u32| number.to_string()).find(moves).unwrap();
    publish(&db, [job(&entity).action("1")]).await;
    publish(&db, (0..500).map(job)).await;
    publish(&db, [job(&entity).action("2")]).await;
    let stays = (2_000..).map(|number: u32| number.to_string()).find(|entity| !moves(entity)).unwrap();
    publish(&db, [job(&stays)]).await;
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let own_queue = TitoQueue::new(FaultEngine::new(db.clone()).database());
    let beginning = own_queue.engine.faults().at(Call::Get).key_prefix("checkpoint:").hold();
    let worker = Worker::builder(own_queue).subscribe_with("job", strict(), move |event: TitoEvent| {
        let _ = tell.send((event.entity, event.action));
        async { Done::Ok(()) }
    });
    let worker = Running::start(worker);
    beginning.arrivals(1).await;
    let db = FaultEngine::new(db).database();
    let second_step = db.faults().at(Call::Commit).key_prefix("event:job:").nth(2).hold();
    let resizing = tokio::spawn({
        let queue = TitoQueue::new(db.clone());
        async move { queue.resize_topic("job", 2).await }
    });
    // In steps that make no transaction too old.
    while futures::poll!(std::pin::pin!(second_step.arrivals(1))).is_pending() {
        clock.advance(Duration::from_millis(100));
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    beginning.open();
    let mut actions = Vec::new();
    while let Some((handled, action)) = told.recv().await {
        if handled == stays {
            // The worker has read past the later event.
            second_step.open();
        }
        if handled == entity {
            actions.push(action);
        }
        if actions.len() == 2 {
            break;
        }
    }
    assert_eq!(actions, ["1", "2"]);
    resizing.await.unwrap().unwrap();
    worker.stop().await;
}
