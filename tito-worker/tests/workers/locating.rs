//! Events that are gone are told from events that were moved, at a cost that does not grow with the queue.

use std::time::Duration;

use tito_core::event::{EventReference, TitoEvent, Topic};
use tito_core::prelude::*;
use tito_testkit::{Call, FaultEngine, Harness, TestClock, WithFaults};
use tito_worker::keys;
use tito_worker::prelude::*;
use tito_worker::{GroupStart, Order, Outcome, RetryPolicy, Subscription};

use crate::support::*;

const MINUTE: Duration = Duration::from_secs(60);

/// What a search would read of the other events.
const PENDING: usize = 10_000;

async fn publish_one(db: &Database, event: Publish) -> EventReference {
    let queue = TitoQueue::new(db.clone());
    db.transaction(|tx| async move { queue.publish(event, &tx).await }).await.unwrap()
}

/// Cancels an event, and returns whether it was there, having read no more than a few rows.
async fn cancel(db: &Database, event: &EventReference) -> bool {
    let (rows, scans) = (db.faults().rows_read(), db.faults().count(Call::Scan));
    let queue = TitoQueue::new(db.clone());
    let was_there = db.transaction(|tx| async move { queue.cancel(event, &tx).await }).await.unwrap();
    let (rows, scans) = (db.faults().rows_read() - rows, db.faults().count(Call::Scan) - scans);
    assert!(rows <= 8 && scans == 0, "{rows} rows, {scans} scans");
    was_there
}

async fn full_of_others(db: &Database) -> TitoQueue {
    let queue = TitoQueue::new(db.clone());
    with_one_partition(db).await;
    for step in 0..PENDING / 1_000 {
        publish(db, (0..1_000).map(|number| job(format!("other {step} {number}")).delay(1_000 * MINUTE))).await;
    }
    queue
}

fn subscription() -> Subscription {
    Subscription::default().retry(RetryPolicy::default().attempts(2).first_delay(10 * MINUTE).jitter(0.0))
}

/// A worker by which an event comes to what its entity says.
fn worker(db: &Database, clock: &TestClock) -> Harness {
    let now = seconds(clock);
    Harness::new(db, clock).subscribe_with("job", subscription(), move |event: TitoEvent| async move {
        match event.entity.as_str() {
            "failed" => Err(error("no")),
            "dead-lettered" => Ok(Outcome::DeadLetter("no".to_string())),
            "postponed" => Ok(Outcome::RescheduleTo(at_second(now + 600))),
            _ => Ok(Outcome::Done),
        }
    })
}

#[fact]
pub async fn an_event_that_is_gone_costs_a_few_reads_in_a_full_queue(db: Database, clock: TestClock) {
    let db = FaultEngine::new(db).database();
    let queue = full_of_others(&db).await;
    let done = publish_one(&db, job("done")).await;
    let dead_lettered = publish_one(&db, job("dead-lettered")).await;
    let failed = publish_one(&db, job("failed")).await;
    worker(&db, &clock).drain().await.unwrap();
    for event in [&done, &dead_lettered] {
        assert!(!cancel(&db, event).await);
        assert!(!cancel(&db, event).await);
        assert!(queue.find(event).await.unwrap().is_empty());
    }
    assert!(cancel(&db, &failed).await, "it was moved");
    assert!(!cancel(&db, &failed).await, "and is gone");
    let cancelled = publish_one(&db, job("cancelled").delay(MINUTE)).await;
    assert!(cancel(&db, &cancelled).await);
    assert!(!cancel(&db, &cancelled).await);
}

#[fact]
pub async fn an_event_is_found_wherever_it_was_moved(db: Database, clock: TestClock) {
    let db = FaultEngine::new(db).database();
    let queue = full_of_others(&db).await;
    let postponed = publish_one(&db, job("postponed")).await;
    let rescheduled = publish_one(&db, job("rescheduled")).await;
    let redriven = publish_one(&db, job("dead-lettered")).await;
    let resized = publish_one(&db, job("resized").delay(9 * MINUTE)).await;
    let twice = publish_one(&db, job("failed")).await;
    let moved = db.transaction(|tx| {
        let (queue, event) = (queue.clone(), rescheduled.clone());
        async move { queue.reschedule(&event, at_second(event.timestamp + 300), &tx).await }
    });
    moved.await.unwrap().unwrap();
    worker(&db, &clock).drain().await.unwrap();
    clock.advance(MINUTE);
    queue.redrive_all("job").await.unwrap();
    turning(&clock, queue.resize_topic("job", 7)).await.unwrap();
    turning(&clock, queue.add_group("job", "late", GroupStart::History)).await.unwrap();
    clock.advance(MINUTE);
    for event in [&postponed, &rescheduled, &redriven, &resized, &twice] {
        assert_eq!(queue.find(event).await.unwrap().len(), 2, "{event:?}, in both queues");
        assert!(cancel(&db, event).await, "{event:?}");
        assert!(!cancel(&db, event).await, "{event:?}");
    }
}

/// What was not moved costs nothing; what was leaves a note, which goes in time.
#[fact]
pub async fn a_move_writes_one_key_more_which_is_swept(db: Database, clock: TestClock) {
    let db = FaultEngine::new(db).database();
    let queue = TitoQueue::new(db.clone());
    with_one_partition(&db).await;
    publish(&db, [job("done"), job("failed"), job("postponed")]).await;
    let puts = db.faults().count(Call::Put);
    worker(&db, &clock).drain().await.unwrap();
    assert!(db.faults().count(Call::Put) - puts <= 2 * 2 + 1, "two rows, two notes, and a checkpoint");
    assert_eq!(stored(&db, "!moved:").await.len(), 2);
    assert_eq!(queue.sweep_once("job").await.unwrap().moved, 0, "they are there");
    let mut harness = Harness::new(&db, &clock).subscribe("job", |_: TitoEvent| async { Done::Ok(()) });
    harness.advance(11 * MINUTE).await.unwrap();
    assert_eq!((stored(&db, "event:").await.len(), stored(&db, "!moved:").await.len()), (0, 2));
    assert_eq!(queue.sweep_once("job").await.unwrap().moved, 2);
    assert_eq!(stored(&db, "!moved:").await.len(), 0);

    // In strict order a failed event keeps its place.
    publish(&db, [job("failed")]).await;
    let mut strict =
        Harness::new(&db, &clock).subscribe_with("job", subscription().order(Order::Strict), |_: TitoEvent| async {
            Done::Err(error("no"))
        });
    strict.drain().await.unwrap();
    assert_eq!((stored(&db, "event:").await.len(), stored(&db, "!moved:").await.len()), (1, 0));
}

/// A topic of a release that notes no moves, of which an event was retried by it.
#[fact]
pub async fn what_an_earlier_release_has_moved_is_searched_for(db: Database, clock: TestClock) {
    let db = FaultEngine::new(db).database();
    let queue = TitoQueue::new(db.clone());
    put(&db, keys::topic("job"), r#"{"partitions":1}"#).await;
    let (moved, gone) = (publish_one(&db, job("moved")).await, publish_one(&db, job("gone")).await);
    for (event, to) in [(&moved, Some(moved.timestamp + 400)), (&gone, None)] {
        let key = keys::event("job", 0, event.timestamp, event.id);
        let row = db.begin().await.unwrap().get(&key).await.unwrap().unwrap();
        if let Some(second) = to {
            put(&db, keys::event("job", 0, second, event.id), row).await;
        }
        db.transaction(|tx| async move { tx.system_keys().delete(key).await }).await.unwrap();
    }
    clock.advance(MINUTE);
    // A worker of this release begins, which changes nothing for what was published before.
    worker(&db, &clock).drain().await.unwrap();
    let topic = Topic::find(&db, "job").await.unwrap().unwrap();
    assert!(topic.moves_noted_from.is_some_and(|from| from > 0), "{topic:?}");
    assert_eq!((queue.find(&moved).await.unwrap().len(), queue.find(&gone).await.unwrap().len()), (1, 0));
    clock.advance(MINUTE);
    let later = publish_one(&db, job("done")).await;
    worker(&db, &clock).drain().await.unwrap();
    assert!(!cancel(&db, &later).await, "without a search");
    // A note that can't be read costs a search.
    let failed = publish_one(&db, job("failed")).await;
    worker(&db, &clock).drain().await.unwrap();
    put(&db, keys::moved_event("job", failed.id), "nonsense").await;
    assert_eq!(queue.find(&failed).await.unwrap().len(), 1);
    queue.sweep_once("job").await.unwrap();
}
