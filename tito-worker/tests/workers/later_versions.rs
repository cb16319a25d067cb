//! What a later version has stored in a row survives whatever this one does with the row.

use std::time::Duration;

use tito_core::event::{TitoEvent, Topic};
use tito_core::prelude::*;
use tito_testkit::{Harness, TestClock};
use tito_worker::prelude::*;
use tito_worker::{GroupStart, Missed, Order, Outcome, RetryPolicy, Schedule, Subscription, Unique};

use crate::support::*;
use tito_testkit::later::{add, assert_kept};
use tito_worker::keys;

const MINUTE: Duration = Duration::from_secs(60);

/// Everything of an event that has failed once.
const FAILED: &[&str] = &["", "/failures/0"];

/// Publishes an event, which a later version has written.
async fn published(db: &Database) {
    with_one_partition(db).await;
    publish(db, [job("a")]).await;
    add(db, "event:", &[""]).await;
}

/// Lets the event fail, and a later version say more of that.
async fn failed(db: &Database, clock: &TestClock, subscription: Subscription) -> Harness {
    published(db).await;
    let mut harness =
        Harness::new(db, clock).subscribe_with("job", subscription, |_: TitoEvent| async { Done::Err(error("no")) });
    harness.drain().await.unwrap();
    assert_kept(db, "event:", &[""]).await;
    add(db, "event:", FAILED).await;
    harness
}

/// Handles what is due in one way.
async fn handle(db: &Database, clock: &TestClock, subscription: Subscription, outcome: Outcome) {
    let handler = move |_: TitoEvent| {
        let outcome = outcome.clone();
        async move { Ok::<_, TitoError>(outcome) }
    };
    let mut harness = Harness::new(db, clock).subscribe_with("job", subscription, handler);
    harness.drain().await.unwrap();
}

async fn only_event(db: &Database, prefix: &str) -> TitoEvent {
    let (key, value) = stored(db, prefix).await.remove(0);
    TitoEvent::decode(&key, &value).unwrap()
}

#[fact]
pub async fn an_event_keeps_it_through_its_attempts(db: Database, clock: TestClock) {
    let subscription = Subscription::default().retry(RetryPolicy::default().attempts(3));
    let mut harness = failed(&db, &clock, subscription).await;
    harness.advance(MINUTE).await.unwrap();
    assert_eq!(only_event(&db, "event:").await.failures.len(), 2);
    assert_kept(&db, "event:", FAILED).await;
    harness.advance(10 * MINUTE).await.unwrap();
    assert_eq!(only_event(&db, "dead:").await.failures.len(), 3);
    assert_kept(&db, "dead:", FAILED).await;

    TitoQueue::new(db.clone()).redrive_all("job").await.unwrap();
    assert_kept(&db, "event:", FAILED).await;
    handle(&db, &clock, Subscription::default(), Outcome::DeadLetter("no use".to_string())).await;
    assert_kept(&db, "dead:", FAILED).await;
}

#[fact]
pub async fn an_event_keeps_it_in_its_place_of_a_strict_order(db: Database, clock: TestClock) {
    let strict = || Subscription::default().order(Order::Strict);
    let mut harness = failed(&db, &clock, strict()).await;
    harness.advance(MINUTE).await.unwrap();
    assert_eq!(only_event(&db, "event:").await.failures.len(), 2);
    assert_kept(&db, "event:", FAILED).await;
    clock.advance(10 * MINUTE);
    handle(&db, &clock, strict(), Outcome::RescheduleTo(at_second(seconds(&clock) + 60))).await;
    assert!(only_event(&db, "event:").await.not_before.is_some());
    assert_kept(&db, "event:", FAILED).await;
    // A subscription that is not strict any more puts it where it belongs.
    handle(&db, &clock, Subscription::default(), Outcome::Done).await;
    assert!(only_event(&db, "event:").await.not_before.is_none());
    assert_kept(&db, "event:", FAILED).await;
}

#[fact]
pub async fn an_event_keeps_it_wherever_it_is_put(db: Database, clock: TestClock) {
    failed(&db, &clock, Subscription::default()).await;
    let queue = TitoQueue::new(db.clone());
    let event = only_event(&db, "event:").await;
    assert!(queue.record_progress(&event, &17).await.unwrap());
    assert_kept(&db, "event:", FAILED).await;

    let (moving, reference, at) = (queue.clone(), event.reference(), seconds(&clock) + 5);
    let moved =
        db.transaction(|tx| async move { moving.reschedule(&reference, at_second(at), &tx).await }).await.unwrap();
    assert_eq!(moved.unwrap().timestamp, at);
    assert_kept(&db, "event:", FAILED).await;

    clock.advance(10 * MINUTE);
    handle(&db, &clock, Subscription::default(), Outcome::RescheduleTo(at_second(seconds(&clock) + 5))).await;
    assert_kept(&db, "event:", FAILED).await;
    turning(&clock, queue.resize_topic("job", 64)).await.unwrap();
    assert_kept(&db, "event:", FAILED).await;

    // One that lies where it no longer belongs is put right by the worker that finds it.
    let (key, value) = stored(&db, "event:").await.remove(0);
    let place = keys::parse_event(&key).unwrap();
    let wrong = keys::event("job", (place.partition + 1) % 64, place.seconds, place.id);
    db.transaction(|tx| async move {
        tx.system_keys().delete(key).await?;
        tx.system_keys().put(wrong, value).await
    })
    .await
    .unwrap();
    clock.advance(MINUTE);
    let failing = |_: TitoEvent| async { Done::Err(error("no")) };
    let mut harness = Harness::new(&db, &clock).subscribe("job", failing);
    harness.drain().await.unwrap();
    assert_eq!(harness.report().moved, 1);
    assert_kept(&db, "event:", FAILED).await;
}

#[fact]
pub async fn an_event_keeps_it_when_it_is_done_replayed_and_copied(db: Database, clock: TestClock) {
    failed(&db, &clock, Subscription::default()).await;
    let queue = TitoQueue::new(db.clone());
    queue.set_history("job", Some(60 * MINUTE)).await.unwrap();
    clock.advance(10 * MINUTE);
    handle(&db, &clock, Subscription::default(), Outcome::Done).await;
    assert_kept(&db, "done:", FAILED).await;
    turning(&clock, queue.add_group("job", "audit", GroupStart::History)).await.unwrap();
    assert_kept(&db, "event:job@audit:", &[""]).await;
    let replayed = queue.replay("job", at_second(0)..at_second(seconds(&clock) + 1), "job").await.unwrap();
    assert_eq!(replayed.events, 1);
    assert_kept(&db, "event:job:", &[""]).await;
}

#[fact]
pub async fn a_topic_keeps_it_through_every_change(db: Database, clock: TestClock) {
    let queue = TitoQueue::new(db.clone());
    queue.create_topic("job", 2).await.unwrap();
    turning(&clock, queue.add_group("job", "mail", GroupStart::Now)).await.unwrap();
    let (topic, members) = ("topic:job", &["", "/groups/mail"]);
    add(&db, topic, members).await;

    queue.pause("job").await.unwrap();
    queue.pause("job@mail").await.unwrap();
    assert_kept(&db, topic, members).await;
    queue.resume("job@mail").await.unwrap();
    queue.set_history("job", Some(MINUTE)).await.unwrap();
    assert_kept(&db, topic, members).await;
    turning(&clock, queue.resize_topic("job", 3)).await.unwrap();
    assert_kept(&db, topic, members).await;
    turning(&clock, queue.add_group("job", "audit", GroupStart::History)).await.unwrap();
    assert_kept(&db, topic, members).await;
    turning(&clock, queue.remove_group("job", "audit")).await.unwrap();
    assert_kept(&db, topic, members).await;
    db.transaction(|tx| async move { Topic::raise_revision(&tx, "job").await }).await.unwrap();
    assert_kept(&db, topic, members).await;
    assert_eq!(Topic::read(&db.begin().await.unwrap(), "job").await.unwrap().partitions, 3);
}

#[fact]
pub async fn a_schedule_keeps_it_while_it_fires_and_is_changed(db: Database, clock: TestClock) {
    let queue = TitoQueue::new(db.clone());
    let tick = || Schedule::every("tick", MINUTE).publishes(job("tick"));
    let nightly = || Schedule::cron("nightly", "0 3 * * *").publishes(job("night"));
    for schedule in [tick(), nightly()] {
        queue.put_schedule(schedule).await.unwrap();
    }
    let rows = [
        ("schedule:tick", &["", "/event", "/recurrence/every"]),
        ("schedule:nightly", &["", "/event", "/recurrence/cron"]),
    ];
    for (row, members) in rows {
        add(&db, row, members).await;
    }
    clock.advance(24 * 60 * MINUTE);
    Worker::builder(queue.clone()).build().drain().await.unwrap();
    assert!(queue.schedules().await.unwrap().iter().all(|schedule| schedule.last.is_some()));
    for (row, members) in rows {
        assert_kept(&db, row, members).await;
    }
    for name in ["tick", "nightly"] {
        assert!(queue.pause_schedule(name).await.unwrap());
        assert!(queue.resume_schedule(name).await.unwrap());
    }
    // As a program of an earlier version does when it starts.
    for schedule in [tick().missed(Missed::All), nightly().publishes(job("later"))] {
        queue.put_schedule(schedule).await.unwrap();
    }
    for (row, members) in rows {
        assert_kept(&db, row, members).await;
    }
    // What is said of a recurrence is not true of another.
    queue.put_schedule(Schedule::every("tick", 2 * MINUTE).publishes(job("tick"))).await.unwrap();
    assert_kept(&db, "schedule:tick", &["", "/event"]).await;
    let row = String::from_utf8(stored(&db, "schedule:tick").await.remove(0).1).unwrap();
    assert!(row.contains(r#""recurrence":{"every":{"seconds":120}}"#), "{row}");
}

#[fact]
pub async fn a_unique_event_keeps_it_when_it_is_rescheduled(db: Database, clock: TestClock) {
    let queue = TitoQueue::new(db.clone());
    let (publishing, unique) = (queue.clone(), Unique::key("k").window(60 * MINUTE).keep());
    let event = job("a").delay(MINUTE);
    db.transaction(|tx| async move { publishing.publish_unique(event, unique, &tx).await }).await.unwrap();
    add(&db, "dedup:", &["", "/event"]).await;
    let at = seconds(&clock) + 120;
    let moved = db
        .transaction(|tx| async move { queue.reschedule_unique("job", "k", at_second(at), &tx).await })
        .await
        .unwrap();
    assert_eq!(moved.unwrap().timestamp, at);
    assert_kept(&db, "dedup:", &["", "/event"]).await;
}

#[fact]
pub async fn a_checkpoint_keeps_it_when_it_goes_on(db: Database, clock: TestClock) {
    with_one_partition(&db).await;
    put(&db, "checkpoint:job:0000", r#"{"floor":1}"#).await;
    add(&db, "checkpoint:", &[""]).await;
    let (worker, mut told) = telling(&db);
    let running = Running::start(worker);
    for number in 0..20 {
        publish(&db, [job(number)]).await;
        told.recv().await.unwrap();
        clock.advance(Duration::from_secs(1));
    }
    running.stop().await;
    let row = String::from_utf8(stored(&db, "checkpoint:").await.remove(0).1).unwrap();
    assert!(!row.starts_with(r#"{"floor":1,"#), "{row}");
    assert_kept(&db, "checkpoint:", &[""]).await;
}

#[fact]
pub async fn a_lease_keeps_it_when_it_is_claimed_and_given_back(db: Database, _: TestClock) {
    with_one_partition(&db).await;
    let lease = async || stored(&db, "lease:job:").await.pop();
    let member = || {
        Worker::builder(TitoQueue::new(db.clone()))
            .join("fleet")
            .subscribe("job", |_: TitoEvent| async { Done::Ok(()) })
    };
    let mut epochs = Vec::new();
    for _ in 0..2 {
        let before = lease().await;
        let running = Running::start(member().schedules(false));
        while lease().await == before {
            tokio::task::yield_now().await;
        }
        let claimed = lease().await.unwrap().1;
        assert!(!String::from_utf8(claimed).unwrap().contains(r#""member":null"#));
        if !epochs.is_empty() {
            assert_kept(&db, "lease:", &[""]).await;
        }
        running.stop().await;
        let given_back = String::from_utf8(lease().await.unwrap().1).unwrap();
        assert!(given_back.contains(r#""member":null"#), "{given_back}");
        if !epochs.is_empty() {
            assert_kept(&db, "lease:", &[""]).await;
        }
        epochs.push(given_back);
        add(&db, "lease:", &[""]).await;
    }
}
