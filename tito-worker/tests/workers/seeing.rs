//! What is seen of queues at a glance: backlogs, what was done by minute, gauges.

use std::time::Duration;

use tito_core::event::TitoEvent;
use tito_core::prelude::*;
use tito_testkit::{Call, FaultEngine, TestClock, WithFaults};
use tito_worker::observe::metrics as names;
use tito_worker::prelude::*;
use tito_worker::{QueueError, RetryPolicy, Subscription};

use crate::recorder::Recorded;
use crate::support::*;

#[fact]
pub async fn a_backlog_is_what_is_due_and_for_how_long(db: Database, clock: TestClock) {
    let queue = TitoQueue::new(db.clone());
    let unknown = queue.backlog("job").await;
    assert!(matches!(unknown, Err(QueueError::UnknownTopic { .. })), "{unknown:?}");
    queue.create_topic("job", 4).await.unwrap();
    let backlog = queue.backlog("job").await.unwrap();
    assert_eq!((backlog.count, backlog.at_least, backlog.oldest_due), (0, false, None));

    publish(&db, (0..7).map(|number| job(format!("user:{number}")))).await;
    publish(&db, (0..9).map(|number| job(format!("user:{number}")).delay(Duration::from_secs(60)))).await;
    publish(&db, [Publish::new("job-2", "user:1"), Publish::new("a", "user:1")]).await;
    clock.advance(Duration::from_secs(10));
    let backlog = queue.backlog("job").await.unwrap();
    assert_eq!((backlog.count, backlog.at_least), (7, false));
    assert!(backlog.oldest_due.is_some_and(|age| (10..=11).contains(&age.as_secs())), "{backlog:?}");
    assert_eq!(backlog.as_of.timestamp(), db.now().await.unwrap().seconds());
    clock.advance(Duration::from_secs(60));
    assert_eq!(queue.backlog("job").await.unwrap().count, 16);
}

#[fact]
pub async fn what_was_done_is_counted_by_minute(db: Database, clock: TestClock) {
    with_one_partition(&db).await;
    let queue = TitoQueue::new(db.clone());
    let worker = |db: &Database| {
        let once = Subscription::default().retry(RetryPolicy::default().attempts(1));
        Worker::builder(TitoQueue::new(db.clone())).schedules(false).subscribe_with(
            "job",
            once,
            |event: TitoEvent| async move { if event.entity == "bad" { Err(error("no")) } else { Ok(()) } },
        )
    };
    publish(&db, [job("good"), job("better"), job("bad")]).await;
    worker(&db).build().drain().await.unwrap();
    clock.advance(Duration::from_secs(60));
    publish(&db, [job("good")]).await;
    let done = queue.activity("job", 3).await.unwrap();
    assert_eq!(done.len(), 3);
    assert_eq!(
        done.iter().map(|one| (one.published, one.handled, one.failed, one.dead)).collect::<Vec<_>>(),
        [(0, 0, 0, 0), (3, 2, 1, 1), (1, 0, 0, 0)]
    );
    assert_eq!(done[1].durations.iter().sum::<u64>(), 3);
    assert!(done[1].longest <= done[1].duration);
    assert_eq!(done[2].minute - done[1].minute, chrono::TimeDelta::minutes(1));
    assert_eq!(queue.activity("other", 3).await.unwrap().iter().map(|one| one.published).sum::<u64>(), 0);
    assert_eq!(queue.activity("job", 1_000).await.unwrap().len(), 120);

    // What another process did is known once it has written it.
    let other = FaultEngine::new(db.clone()).with_foreign_writers().database();
    let here = FaultEngine::new(db.clone()).with_foreign_writers().database();
    let running = Running::start(worker(&other));
    while !stored(&db, "event:").await.is_empty() {
        clock.advance(Duration::from_millis(10));
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    running.stop().await;
    let seen = TitoQueue::new(here.clone()).activity("job", 2).await.unwrap();
    assert_eq!(seen.iter().map(|one| one.handled).sum::<u64>(), 1, "{seen:?}");
    let again = TitoQueue::new(other).activity("job", 2).await.unwrap();
    assert_eq!(again.iter().map(|one| one.handled).sum::<u64>(), 1, "its own row is not counted twice");
    let rows = stored(&db, "!activity:").await.len();
    assert!((1..=2).contains(&rows), "{rows}");
    clock.advance(Duration::from_secs(3 * 3_600));
    let seen = TitoQueue::new(here).activity("job", 120).await.unwrap();
    assert!(seen.iter().all(|one| one.handled == 0), "too long ago");
}

#[fact]
pub async fn a_minute_that_is_over_is_written_with_the_next_sign_of_life(db: Database, clock: TestClock) {
    with_one_partition(&db).await;
    let other = FaultEngine::new(db.clone()).with_foreign_writers().database();
    let (worker, _told) = telling(&other);
    let running = Running::start(worker.schedules(false));
    publish(&other, [job("good")]).await;
    while stored(&db, "!activity:").await.is_empty() {
        clock.advance(Duration::from_millis(200));
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let seen = TitoQueue::new(FaultEngine::new(db.clone()).with_foreign_writers().database());
    let done = seen.activity("job", 60).await.unwrap();
    assert_eq!(done.iter().map(|one| one.published).sum::<u64>(), 1);
    // Nothing has happened since.
    let rows = stored(&db, "!activity:").await.len();
    for _ in 0..600 {
        clock.advance(Duration::from_millis(200));
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert!(stored(&db, "!activity:").await.len() <= rows + 1);
    running.stop().await;
}

/// Nobody works in the process: a task writes the minutes, and ends once nothing is published any more.
#[fact]
pub async fn a_process_that_only_publishes_writes_its_minutes(db: Database, clock: TestClock) {
    with_one_partition(&db).await;
    let publisher =
        if db.is_only_writer() { FaultEngine::new(db.clone()).with_foreign_writers().database() } else { db.clone() };
    publish(&publisher, [job("a"), job("b")]).await;
    let rows = async || stored(&db, "!activity:").await.len();
    assert_eq!(rows().await, 0, "the minute is not over");
    let turn = async |minutes: u64| {
        for _ in 0..minutes * 6 {
            clock.advance(Duration::from_secs(10));
            // The task looks at the clock every half second.
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    while rows().await == 0 {
        turn(1).await;
    }
    let other = FaultEngine::new(db.clone()).with_foreign_writers().database();
    let published = async || {
        let done = TitoQueue::new(other.clone()).activity("job", 120).await.unwrap();
        done.iter().map(|one| one.published).sum::<u64>()
    };
    assert_eq!(published().await, 2);
    // The present minute is written when the process says that it ends.
    publish(&publisher, [job("c")]).await;
    TitoQueue::new(publisher.clone()).write_activity().await.unwrap();
    assert_eq!(published().await, 3);
    let written = rows().await;
    turn(10).await;
    assert_eq!(rows().await, written, "nothing has happened since");
    // Whoever publishes again begins again.
    publish(&publisher, [job("d")]).await;
    while rows().await == written {
        turn(1).await;
    }
    assert_eq!(published().await, 4);
}

#[fact]
pub async fn gauges_show_what_there_is(db: Database, clock: TestClock) {
    let recorded = Recorded::default();
    let _recording = metrics::set_default_local_recorder(&recorded);
    with_one_partition(&db).await;
    let queue = TitoQueue::new(db.clone());
    queue.pause("job").await.unwrap();
    publish(&db, (0..3).map(job)).await;
    clock.advance(Duration::from_secs(7));
    let (worker, _told) = telling(&db);
    let running = Running::start(worker.schedules(false).gauges(Duration::from_secs(15)));
    let last = |name: &str| recorded.all(&format!("{name}{{topic=job}}")).last().copied();
    while last(names::LONGEST_RUN_SECONDS).is_none() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(
        (last(names::BACKLOG_EVENTS), last(names::PAUSED), last(names::WORKERS)),
        (Some(3.0), Some(1.0), Some(1.0))
    );
    assert!(last(names::OLDEST_DUE_SECONDS).is_some_and(|age| (7.0..=8.0).contains(&age)));
    queue.resume("job").await.unwrap();
    while last(names::BACKLOG_EVENTS) != Some(0.0) || last(names::PAUSED) != Some(0.0) {
        clock.advance(Duration::from_millis(200));
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    running.stop().await;
}

/// A look at a thousand idle queues is some reads of their topics.
#[fact]
pub async fn gauges_of_a_thousand_queues_cost_a_few_reads(db: Database, clock: TestClock) {
    if !db.is_only_writer() {
        return;
    }
    let recorded = Recorded::default();
    let _recording = metrics::set_default_local_recorder(&recorded);
    let db = FaultEngine::new(db).database();
    let queue = TitoQueue::new(db.clone());
    let mut worker = Worker::builder(queue.clone()).schedules(false).gauges(Duration::from_secs(15));
    for number in 0..1_000 {
        queue.create_topic(&format!("topic-{number}"), 1).await.unwrap();
        worker = worker.subscribe(format!("topic-{number}"), |_: TitoEvent| async { Done::Ok(()) });
    }
    let running = Running::start(worker);
    let samples = || recorded.all(&format!("{}{{topic=topic-999}}", names::LONGEST_RUN_SECONDS)).len();
    while samples() < 1 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    // Until all partitions have looked for the first time; the janitor goes on looking at a queue or two.
    let reads = || db.faults().count(Call::Scan) + db.faults().count(Call::BatchGet) + db.faults().count(Call::Get);
    let mut before = reads();
    loop {
        tokio::time::sleep(Duration::from_millis(100)).await;
        if reads() - std::mem::replace(&mut before, reads()) < 20 {
            break;
        }
    }
    clock.advance(Duration::from_secs(15));
    while samples() < 2 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let sampled = reads() - before;
    assert!(sampled <= 100, "{sampled} reads");
    running.stop().await;
}
