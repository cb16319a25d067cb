//! What workers have left of themselves is deleted when its time is over, and not before.

use std::time::Duration;

use tito_core::event::TitoEvent;
use tito_core::prelude::*;
use tito_testkit::{FaultEngine, TestClock};
use tito_worker::prelude::*;
use uuid::Uuid;

use crate::support::*;

const MINUTE: Duration = Duration::from_secs(60);

fn other_process(db: &Database) -> Database {
    FaultEngine::new(db.clone()).with_foreign_writers().database()
}

async fn rows(db: &Database) -> [usize; 3] {
    let mut rows = [0; 3];
    for (count, prefix) in rows.iter_mut().zip(["!worker:", "!retire:", "!activity:"]) {
        *count = stored(db, prefix).await.len();
    }
    rows
}

#[fact]
pub async fn what_a_worker_that_died_has_left_is_deleted_in_its_time(db: Database, clock: TestClock) {
    with_one_partition(&db).await;
    let (queue, other) = (TitoQueue::new(db.clone()), other_process(&db));
    let worker = Worker::builder(TitoQueue::new(other.clone())).schedules(false);
    let running = Running::start(worker.subscribe("job", |_: TitoEvent| async { Done::Ok(()) }));
    while stored(&db, "!worker:").await.is_empty() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    running.kill().await;
    // Of a process that only publishes.
    let publisher = other_process(&db);
    publish(&publisher, [job("a")]).await;
    TitoQueue::new(publisher).write_activity().await.unwrap();
    // For some seconds nobody knows that the worker is dead, and it is told to leave.
    let asking = TitoQueue::new(other_process(&db));
    let [worker] = &asking.workers().await.unwrap()[..] else { panic!("one worker") };
    assert!(worker.live);
    asking.retire(worker.id).await.unwrap();
    assert_eq!(rows(&db).await, [1, 1, 1]);

    assert_eq!(queue.sweep_facts().await.unwrap(), 0);
    clock.advance(5 * MINUTE);
    assert_eq!(queue.sweep_facts().await.unwrap(), 0, "it can still be seen that it died");
    assert_eq!(rows(&db).await, [1, 1, 1]);
    clock.advance(MINUTE);
    assert!(queue.sweep_facts().await.unwrap() >= 2);
    assert_eq!(rows(&db).await, [0, 0, 1]);
    clock.advance(114 * MINUTE);
    assert_eq!(queue.sweep_facts().await.unwrap(), 0);
    clock.advance(2 * MINUTE);
    assert_eq!(queue.sweep_facts().await.unwrap(), 1);
    assert_eq!(rows(&db).await, [0; 3]);
}

/// More than one transaction takes, of several processes.
#[fact]
pub async fn minutes_of_two_hours_ago_are_deleted_however_many_there_are(db: Database, clock: TestClock) {
    let present = seconds(&clock) as u64 / 60;
    for process in 0..5_u128 {
        for back in 80..=160 {
            let key = format!("!activity:{:010}:{}", present - back, Uuid::from_u128(process));
            put(&db, key, r#"{"queues":{}}"#).await;
        }
    }
    let queue = TitoQueue::new(db.clone());
    assert_eq!(queue.sweep_facts().await.unwrap(), 5 * 40);
    assert_eq!(rows(&db).await, [0, 0, 5 * 41]);
}

/// A row that can't be read is nobody's to delete, and in nobody's way.
#[fact]
pub async fn what_was_counted_is_deleted_when_nobody_looks_any_more(db: Database, clock: TestClock) {
    let (queue, other) = (TitoQueue::new(db.clone()), other_process(&db));
    queue.create_topic("job", 2).await.unwrap();
    queue.create_topic("other", 2).await.unwrap();
    TitoQueue::new(other.clone()).backlog("job").await.unwrap();
    put(&db, "!looked:other", "no JSON").await;
    for partition in 0..150 {
        put(&db, format!("!backlog:job:{partition:04}"), r#"{"count":1,"counted":1}"#).await;
    }
    let counted = async || (stored(&db, "!looked:").await.len(), stored(&db, "!backlog:").await.len());
    clock.advance(9 * MINUTE);
    assert_eq!(queue.sweep_facts().await.unwrap(), 0);
    // Somebody looks again.
    TitoQueue::new(other_process(&db)).backlog("job").await.unwrap();
    clock.advance(9 * MINUTE);
    assert_eq!(queue.sweep_facts().await.unwrap(), 0);
    assert_eq!(counted().await, (2, 150));
    clock.advance(2 * MINUTE);
    assert_eq!(queue.sweep_facts().await.unwrap(), 151);
    assert_eq!(counted().await, (1, 0));
}
