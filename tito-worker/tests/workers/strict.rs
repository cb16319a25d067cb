//! Strict order: later events of an entity wait for one that has failed.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tito_core::Transaction;
use tito_core::clock::Clock;
use tito_core::event::TitoEvent;
use tito_core::prelude::*;
use tito_testkit::{Call, FaultEngine, Gate, Harness, TestClock, WithFaults};
use tito_worker::prelude::*;
use tito_worker::{Order, Outcome, RetryPolicy, Subscription};

use crate::support::*;

pub fn strict() -> Subscription {
    let retry = RetryPolicy::default().attempts(4).first_delay(Duration::from_secs(10)).jitter(0.0);
    Subscription::default().order(Order::Strict).retry(retry)
}

/// What handlers wrote into the log, in the order of their commits: entity and action.
pub async fn log(db: &Database) -> Vec<(String, String)> {
    let entries = stored(db, "note:").await;
    let text = |value: Vec<u8>| String::from_utf8(value).unwrap();
    entries
        .into_iter()
        .map(|(_, value)| text(value).split_once(' ').map(|(a, b)| (a.to_string(), b.to_string())).unwrap())
        .collect()
}

/// Notes an event in the log. One row counts the entries, so their order is that of the commits.
pub async fn note(tx: &Transaction, event: &TitoEvent) -> Result<(), TitoError> {
    let number: u64 = match tx.get(b"logged").await? {
        Some(value) => std::str::from_utf8(&value).unwrap().parse().unwrap(),
        None => 0,
    };
    tx.put(b"logged".to_vec(), (number + 1).to_string().into_bytes()).await?;
    tx.put(format!("note:{number:08}").into_bytes(), format!("{} {}", event.entity, event.action).into_bytes()).await
}

pub fn by_entity(log: Vec<(String, String)>) -> BTreeMap<String, Vec<String>> {
    let mut entities: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (entity, action) in log {
        entities.entry(entity).or_default().push(action);
    }
    entities
}

#[fact]
pub async fn later_events_of_an_entity_wait_for_a_failed_one_and_others_go_on(db: Database, clock: TestClock) {
    with_one_partition(&db).await;
    for action in ["1", "2", "3"] {
        publish(&db, ["a", "b"].map(|entity| job(entity).action(action))).await;
    }
    let mut harness = Harness::new(&db, &clock).subscribe_with("job", strict(), |event: TitoEvent| async move {
        if event.entity == "a" && event.action == "1" && event.failed_attempts < 2 {
            Err(error("not yet"))
        } else {
            Ok(())
        }
    });
    let names = |handled: Vec<tito_testkit::Handled>| -> Vec<String> {
        let done = handled.into_iter().filter(|one| one.outcome.is_ok());
        done.map(|one| one.event.entity + &one.event.action).collect()
    };
    assert_eq!(names(harness.drain().await.unwrap()), ["b1", "b2", "b3"]);
    publish(&db, [job("a").action("4")]).await;
    assert!(names(harness.advance(Duration::from_secs(9)).await.unwrap()).is_empty());
    assert!(names(harness.advance(Duration::from_secs(1)).await.unwrap()).is_empty(), "the second attempt fails");
    assert!(names(harness.advance(Duration::from_secs(19)).await.unwrap()).is_empty());
    assert_eq!(names(harness.advance(Duration::from_secs(1)).await.unwrap()), ["a1", "a2", "a3", "a4"]);
    assert!(stored(&db, "event:").await.is_empty());
}

#[fact]
pub async fn a_running_worker_hands_out_what_waited_once_the_failed_one_is_done(db: Database, clock: TestClock) {
    with_one_partition(&db).await;
    publish(&db, (0..300).map(|action| job("a").action(action.to_string()))).await;
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let worker = Running::start(Worker::builder(TitoQueue::new(db.clone())).subscribe_with(
        "job",
        strict(),
        move |event: TitoEvent| {
            let tell = tell.clone();
            async move {
                tell.send((event.action.clone(), event.failed_attempts)).unwrap();
                if event.action == "7" && event.failed_attempts == 0 { Err(error("once")) } else { Ok(()) }
            }
        },
    ));
    for action in 0..=7 {
        assert_eq!(told.recv().await.unwrap(), (action.to_string(), 0));
    }
    // Until its failure is recorded, which says when it is due again.
    let is_postponed = |(_, value): &(Vec<u8>, Vec<u8>)| String::from_utf8_lossy(value).contains("not_before");
    while !stored(&db, "event:").await.iter().any(is_postponed) {
        tokio::task::yield_now().await;
    }
    assert!(told.try_recv().is_err());
    clock.advance(Duration::from_secs(10));
    assert_eq!(told.recv().await.unwrap(), ("7".to_string(), 1));
    for action in 8..300 {
        assert_eq!(told.recv().await.unwrap(), (action.to_string(), 0));
    }
    assert_eq!(worker.stop().await.retried, 1);
}

#[fact]
pub async fn a_failed_event_blocks_its_entity_for_the_next_worker_too(db: Database, clock: TestClock) {
    publish(&db, [job("a").action("1"), job("a").action("2")]).await;
    let failing = |_: TitoEvent| async { Done::Err(error("down")) };
    let mut first = Harness::new(&db, &clock).subscribe_with("job", strict(), failing);
    assert_eq!(first.drain().await.unwrap().len(), 1);
    drop(first);
    let mut second = Harness::new(&db, &clock).subscribe_with("job", strict(), |_: TitoEvent| async { Done::Ok(()) });
    assert!(second.drain().await.unwrap().is_empty());
    let handled = second.advance(Duration::from_secs(10)).await.unwrap();
    let actions: Vec<_> = handled.iter().map(|one| one.event.action.as_str()).collect();
    assert_eq!(actions, ["1", "2"]);
}

#[fact]
pub async fn an_entity_goes_on_when_its_event_is_given_up(db: Database, clock: TestClock) {
    publish(&db, [job("a").action("1"), job("a").action("2"), job("a").action("3")]).await;
    let subscription = strict().retry(RetryPolicy::default().attempts(1));
    let mut harness = Harness::new(&db, &clock).subscribe_with("job", subscription, |event: TitoEvent| async move {
        if event.action == "1" { Err(error("never")) } else { Ok(()) }
    });
    assert_eq!(harness.drain().await.unwrap().len(), 3);
    assert_eq!((harness.report().dead, harness.report().done), (1, 2));
}

#[fact]
pub async fn putting_off_keeps_the_order_too(db: Database, clock: TestClock) {
    publish(&db, [job("a").action("1"), job("a").action("2")]).await;
    let first_second = (clock.now_millis() / 1000) as i64;
    let mut harness = Harness::new(&db, &clock).subscribe_with(
        "job",
        strict(),
        move |event: TitoEvent, tx: Transaction| async move {
            if event.action == "1" && event.not_before.is_none() {
                return Ok(Outcome::RescheduleTo(at_second(first_second + 60)));
            }
            note(&tx, &event).await?;
            Ok::<_, TitoError>(Outcome::Done)
        },
    );
    assert_eq!(harness.drain().await.unwrap().len(), 1);
    assert!(harness.advance(Duration::from_secs(59)).await.unwrap().is_empty());
    assert_eq!(harness.advance(Duration::from_secs(1)).await.unwrap().len(), 2);
    assert_eq!(by_entity(log(&db).await)["a"], ["1", "2"]);
}

#[fact]
pub async fn strict_order_holds_while_handlers_fail_and_workers_share_partitions(db: Database, clock: TestClock) {
    let seed = tito_testkit::seed();
    let random = Arc::new(Mutex::new(fastrand::Rng::with_seed(seed)));
    TitoQueue::new(db.clone()).create_topic("job", 2).await.unwrap();
    let worker = || {
        let random = random.clone();
        let retry = RetryPolicy::default().attempts(1_000).first_delay(Duration::from_secs(2)).jitter(0.5);
        let subscription =
            Subscription::default().order(Order::Strict).retry(retry.longest_delay(Duration::from_secs(8)));
        let batch = random.lock().unwrap().usize(1..5);
        let builder = Worker::builder(TitoQueue::new(db.clone()));
        builder.subscribe_with("job", subscription.batch(batch), move |event: TitoEvent, tx: Transaction| {
            let fails = random.lock().unwrap().u8(0..4) == 0;
            async move {
                if fails {
                    return Err(error("by chance"));
                }
                note(&tx, &event).await
            }
        })
    };
    for step in 0..20 {
        let entities = random.lock().unwrap().usize(1..6);
        publish(&db, (0..entities).map(|entity| job(entity).action(format!("{step:02}")))).await;
        let workers = [worker().build(), worker().build()];
        let (first, second) = futures::join!(workers[0].drain(), workers[1].drain());
        first.unwrap();
        second.unwrap();
        let seconds = random.lock().unwrap().u64(0..4);
        clock.advance(Duration::from_secs(seconds));
    }
    for _ in 0..500 {
        clock.advance(Duration::from_secs(8));
        worker().build().drain().await.unwrap();
        if stored(&db, "event:").await.is_empty() {
            break;
        }
    }
    assert!(stored(&db, "event:").await.is_empty());
    for (entity, actions) in by_entity(log(&db).await) {
        assert!(actions.is_sorted() && actions.windows(2).all(|pair| pair[0] != pair[1]), "{entity}: {actions:?}");
        assert!(entity != "0" || actions.len() == 20, "{entity}: {actions:?}");
    }
}

#[fact]
pub async fn a_late_commit_is_not_overtaken_by_later_events_of_its_entity(db: Database, clock: TestClock) {
    // The worker hears nothing of commits, as if they were another process's.
    let deaf = tito_testkit::FaultEngine::new(db.clone()).with_foreign_writers().database();
    with_one_partition(&db).await;
    let worker = Running::start(Worker::builder(TitoQueue::new(deaf)).subscribe_with(
        "job",
        strict(),
        |event: TitoEvent, tx: Transaction| async move { note(&tx, &event).await },
    ));
    for round in 0..12 {
        // Begins first, and commits when the worker has read past its place.
        let queue = TitoQueue::new(db.clone());
        let late = db.begin().await.unwrap();
        queue.publish(job("a").action(format!("{round:02} early")), &late).await.unwrap();
        publish(&db, [job("b")]).await;
        clock.advance(Duration::from_secs(1));
        while log(&db).await.iter().filter(|(entity, _)| entity == "b").count() <= round {
            // Slowly, so that no transaction becomes too old.
            clock.advance(Duration::from_millis(20));
            tokio::time::sleep(Duration::from_millis(4)).await;
        }
        late.commit().await.unwrap();
        publish(&db, [job("a").action(format!("{round:02} later"))]).await;
        while !stored(&db, "event:").await.is_empty() {
            // Slowly, so that no transaction becomes too old.
            clock.advance(Duration::from_millis(20));
            tokio::time::sleep(Duration::from_millis(4)).await;
        }
    }
    let actions = by_entity(log(&db).await).remove("a").unwrap();
    assert!(actions.is_sorted() && actions.len() == 24, "{actions:?}");
    worker.stop().await;
}

/// A worker that tells of every event it gets. The first attempts at those with one action wait at a gate and fail.
fn failing_at_a_gate(
    db: &Database,
    action: &'static str,
) -> (Running, Gate, tokio::sync::mpsc::UnboundedReceiver<String>) {
    let (tell, told) = tokio::sync::mpsc::unbounded_channel();
    let gate = Gate::new();
    let at_gate = gate.clone();
    let handler = move |event: TitoEvent| {
        let (tell, gate) = (tell.clone(), at_gate.clone());
        async move {
            tell.send(event.action.clone()).unwrap();
            if event.action == action && event.failed_attempts == 0 {
                gate.pass().await;
                return Err(error("once"));
            }
            Ok(())
        }
    };
    let worker = Worker::builder(TitoQueue::new(db.clone())).subscribe_with("job", strict(), handler);
    (Running::start(worker), gate, told)
}

/// Waits until a failed attempt is stored, and until its worker had time to go on.
async fn failure_is_stored(db: &Database) {
    let is_failed = |value: &[u8]| String::from_utf8_lossy(value).contains("\"attempt\":1");
    while !stored(db, "event:").await.iter().any(|(_, value)| is_failed(value)) {
        tokio::task::yield_now().await;
    }
    for _ in 0..1_000 {
        tokio::task::yield_now().await;
    }
}

#[fact]
pub async fn what_was_committed_late_comes_before_the_next_attempt_of_a_later_event(db: Database, clock: TestClock) {
    let db = FaultEngine::new(db).database();
    with_one_partition(&db).await;
    let late = db.begin().await.unwrap();
    TitoQueue::new(db.clone()).publish(job("a").action("first"), &late).await.unwrap();
    clock.advance(Duration::from_secs(1));
    publish(&db, [job("a").action("second")]).await;
    let (worker, gate, mut told) = failing_at_a_gate(&db, "second");
    assert_eq!(told.recv().await.unwrap(), "second");
    late.commit().await.unwrap();
    // Whatever engine it is, the past is read again by then, and the first event waits for the second one's handler.
    clock.advance(Duration::from_secs(2));
    let scans = db.faults().count(Call::Scan);
    publish(&db, [job("b").action("other")]).await;
    assert_eq!(told.recv().await.unwrap(), "other");
    assert!(db.faults().count(Call::Scan) > scans);
    gate.open();
    failure_is_stored(&db).await;
    clock.advance(Duration::from_secs(11));
    assert_eq!(told.recv().await.unwrap(), "first");
    assert_eq!(told.recv().await.unwrap(), "second");
    assert_eq!(worker.stop().await.done, 3);
}

#[fact]
pub async fn a_failure_recorded_while_the_partition_is_begun_anew_blocks_its_entity(db: Database, clock: TestClock) {
    let db = FaultEngine::new(db).database();
    with_one_partition(&db).await;
    publish(&db, [job("a").action("first")]).await;
    publish(&db, [job("a").action("second")]).await;
    let (worker, gate, mut told) = failing_at_a_gate(&db, "first");
    assert_eq!(told.recv().await.unwrap(), "first");
    // Any change of the topic makes the worker begin anew, with the checkpoint.
    let beginning = db.faults().at(Call::Get).key_prefix("checkpoint:").hold();
    TitoQueue::new(db.clone()).set_history("job", Some(Duration::from_secs(60))).await.unwrap();
    beginning.arrivals(1).await;
    gate.open();
    failure_is_stored(&db).await;
    beginning.open();
    publish(&db, [job("b").action("other")]).await;
    assert_eq!(told.recv().await.unwrap(), "other");
    clock.advance(Duration::from_secs(11));
    assert_eq!(told.recv().await.unwrap(), "first");
    assert_eq!(told.recv().await.unwrap(), "second");
    assert_eq!(worker.stop().await.done, 3);
}

#[fact]
pub async fn later_events_wait_until_it_is_recorded_that_an_earlier_one_failed_for_good(db: Database, _: TestClock) {
    with_one_partition(&db).await;
    for action in ["1", "2"] {
        publish(&db, [job("a").action(action)]).await;
    }
    let db = FaultEngine::new(db).database();
    let gate = db.faults().at(Call::Commit).key_prefix("dead:").hold();
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let worker = Running::start(Worker::builder(TitoQueue::new(db.clone())).subscribe_with(
        "job",
        strict(),
        move |event: TitoEvent| {
            tell.send(event.action.clone()).unwrap();
            async move {
                Ok::<_, TitoError>(if event.action == "1" {
                    Outcome::DeadLetter("refused".to_string())
                } else {
                    Outcome::Done
                })
            }
        },
    ));
    assert_eq!(told.recv().await.as_deref(), Some("1"));
    gate.arrivals(1).await;
    for _ in 0..200 {
        tokio::task::yield_now().await;
    }
    // If this process died now, the first event would be handled again, and might succeed.
    assert!(told.try_recv().is_err());
    gate.open();
    assert_eq!(told.recv().await.as_deref(), Some("2"));
    let report = worker.stop().await;
    assert_eq!((report.dead, report.done), (1, 1));
}
