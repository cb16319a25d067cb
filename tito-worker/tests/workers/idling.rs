//! What workers with nothing to do cost.

use std::collections::BTreeMap;
use std::time::Duration;

use tito_core::clock::Clock;
use tito_core::engine::{Mutation, Mutations, Signals};
use tito_core::event::TitoEvent;
use tito_core::prelude::*;
use tito_testkit::{Call, FaultEngine, TestClock, WithFaults};
use tito_worker::keys;
use tito_worker::prelude::*;

use crate::support::*;

const TOPICS: usize = 8;

fn topic(number: usize) -> String {
    format!("topic-{number}")
}

/// Topics of several partitions, whose events were all handled by a worker that goes on.
async fn idle(db: &Database) -> Running {
    let queue = TitoQueue::new(db.clone());
    let mut worker = Worker::builder(queue.clone()).schedules(false);
    for number in 0..TOPICS {
        queue.create_topic(&topic(number), 8).await.unwrap();
        worker = worker.subscribe(topic(number), |_: TitoEvent| async { Done::Ok(()) });
        publish(db, (0..30).map(|entity| Publish::new(topic(number), format!("user:{entity}")))).await;
    }
    let running = Running::start(worker);
    while !stored(db, "event:").await.is_empty() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    running
}

/// Lets a worker look at its partitions again, so many times.
async fn look_again(clock: &TestClock, times: u64) {
    for _ in 0..times {
        clock.advance_to(next_look(clock).await);
    }
    next_look(clock).await;
}

/// When the worker looks next. Beside that, others may wait for what is due much later.
async fn next_look(clock: &TestClock) -> u64 {
    loop {
        let next = clock.waited_for().await;
        if next <= clock.monotonic_millis() + 15_000 {
            return next;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[fact]
pub async fn idle_partitions_are_looked_at_together(db: Database, clock: TestClock) {
    if !db.is_only_writer() {
        return;
    }
    clock.must_stand_still();
    let db = FaultEngine::new(db).database();
    let running = idle(&db).await;
    // What partitions had begun to read is over by then.
    look_again(&clock, 5).await;
    let scans = || db.faults().injected();
    db.faults().at(Call::Scan).key_prefix("event:").always().delay(Duration::ZERO);
    let before = scans();
    look_again(&clock, 100).await;
    assert_eq!(scans() - before, 100, "64 idle partitions cost more than one scan each 15 s");

    // What waits for its time is one more row to look at.
    publish(&db, [Publish::new(topic(3), "user:1").delay(Duration::from_secs(86_400))]).await;
    look_again(&clock, 5).await;
    let before = scans();
    look_again(&clock, 100).await;
    assert_eq!(scans() - before, 200);
    running.stop().await;
}

/// Waits until a look costs so many scans.
async fn until_all_are_quiet(clock: &TestClock, scans: impl Fn() -> u64, each: u64) {
    loop {
        let (before, began) = (scans(), clock.monotonic_millis());
        look_again(clock, 20).await;
        // Many that look one after another look once each time too, but more often.
        let are_together = clock.monotonic_millis() - began >= 20 * 400;
        if are_together && scans() - before <= 20 * each {
            return;
        }
    }
}

#[fact]
pub async fn partitions_without_events_are_looked_at_together_where_other_processes_write(
    db: Database,
    clock: TestClock,
) {
    if db.is_only_writer() {
        return;
    }
    clock.must_stand_still();
    let queue = TitoQueue::new(db.clone());
    let mut events = Vec::new();
    for number in 0..TOPICS {
        queue.create_topic(&topic(number), 8).await.unwrap();
        publish(&db, [Publish::new(topic(number), "user:1")]).await;
    }
    for (key, value) in stored(&db, "event:").await {
        write_silently(&db, &key, None).await;
        events.push((key, value));
    }
    let db = FaultEngine::new(db).database();
    let mut worker = Worker::builder(TitoQueue::new(db.clone())).schedules(false);
    for number in 0..TOPICS {
        worker = worker.subscribe(topic(number), |_: TitoEvent| async { Done::Ok(()) });
    }
    let running = Running::start(worker);
    db.faults().at(Call::Scan).key_prefix("event:").always().delay(Duration::ZERO);
    let scans = || db.faults().injected();
    until_all_are_quiet(&clock, scans, 1).await;
    let before = scans();
    look_again(&clock, 100).await;
    assert_eq!(scans() - before, 100, "64 idle partitions cost more than one scan each time");

    // What another process publishes is found by that.
    for (key, value) in &events {
        write_silently(&db, key, Some(value.clone())).await;
    }
    while !stored(&db, "event:").await.is_empty() {
        look_again(&clock, 1).await;
    }
    // A partition in which something has come looks by itself again, for a quarter of an hour.
    let before = scans();
    look_again(&clock, 100).await;
    assert!(scans() - before > 100);
    clock.advance(Duration::from_secs(901));
    until_all_are_quiet(&clock, scans, 1).await;

    // What waits for its time is one more row to look at, and is handed out in time.
    publish(&db, [Publish::new(topic(3), "user:1").delay(Duration::from_secs(3_600))]).await;
    until_all_are_quiet(&clock, scans, 2).await;
    clock.advance(Duration::from_secs(3_600));
    while !stored(&db, "event:").await.is_empty() {
        look_again(&clock, 1).await;
    }
    running.stop().await;
}

#[fact]
pub async fn what_nobody_was_told_of_is_found_within_fifteen_seconds(db: Database, clock: TestClock) {
    if !db.is_only_writer() {
        return;
    }
    clock.must_stand_still();
    with_one_partition(&db).await;
    publish(&db, [job("a")]).await;
    let (key, value) = stored(&db, "event:").await.remove(0);
    write_silently(&db, &key, None).await;
    let (worker, mut told) = telling(&db);
    let running = Running::start(worker.schedules(false));
    publish(&db, [job("b")]).await;
    assert_eq!(told.recv().await.unwrap().entity, "b");
    while !stored(&db, "event:").await.is_empty() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    look_again(&clock, 1).await;
    write_silently(&db, &key, Some(value)).await;
    clock.advance_to(next_look(&clock).await);
    assert_eq!(told.recv().await.unwrap().entity, "a");
    running.stop().await;
}

/// Commits without a signal.
async fn write_silently(db: &Database, key: &[u8], value: Option<Vec<u8>>) {
    assert!(keys::parse_event(key).is_some());
    let writes = BTreeMap::from([(key.to_vec(), Mutation { value, must_be_new: false })]);
    let tx = db.engine().begin(None).await.unwrap();
    tx.commit(Mutations { writes, ..Mutations::default() }, Signals::default()).await.unwrap();
}

#[fact]
pub async fn a_topic_that_is_changed_in_the_same_process_is_read_at_once(db: Database, clock: TestClock) {
    if !db.is_only_writer() {
        return;
    }
    clock.must_stand_still();
    with_one_partition(&db).await;
    let (worker, mut told) = telling(&db);
    let running = Running::start(worker.schedules(false));
    publish(&db, [job("before")]).await;
    assert_eq!(told.recv().await.unwrap().entity, "before");
    let queue = TitoQueue::new(db.clone());
    // The worker learns of it by a signal: polling comes a minute later.
    queue.resize_topic("job", 4).await.unwrap();
    publish(&db, (0..20).map(job)).await;
    for _ in 0..20 {
        told.recv().await.unwrap();
    }
    running.stop().await;
}
