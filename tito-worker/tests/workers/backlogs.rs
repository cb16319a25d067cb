//! How much is due is right after every change, and asking for it reads next to nothing.

use std::time::Duration;

use tito_core::Transaction;
use tito_core::event::{EventReference, TitoEvent, Topic, due_second};
use tito_core::prelude::*;
use tito_testkit::{FaultEngine, Harness, TestClock, WithFaults};
use tito_worker::keys;
use tito_worker::prelude::*;
use tito_worker::{
    Advance, Backlog, EventFilter, GroupStart, Operation, OperationTask, Operator, Outcome, Subscription, Unique,
};

use crate::strict::strict;
use crate::support::*;

const QUEUES: [&str; 4] = ["job", "job@audit", "job@late", "strict"];

/// What there is by a look at all rows.
async fn counted(db: &Database, queue: &str) -> (u64, Option<i64>) {
    let now = db.now().await.unwrap().seconds();
    let rows = stored(db, &format!("event:{queue}:")).await;
    let due: Vec<_> = rows.iter().map(|(key, value)| due_second(key, value)).filter(|due| *due <= now).collect();
    (due.len() as u64, due.iter().min().map(|oldest| now - oldest))
}

fn shown(backlog: &Backlog) -> (u64, Option<i64>) {
    (backlog.count, backlog.oldest_due.map(|age| age.as_secs() as i64))
}

/// Asks, and returns the answer with the number of rows that were read for it.
async fn ask(db: &Database, queue: &str) -> (Backlog, u64) {
    let before = db.faults().rows_read();
    let backlog = TitoQueue::new(db.clone()).backlog(queue).await.unwrap();
    (backlog, db.faults().rows_read() - before)
}

/// What a handler makes of an event, by its number and how often it was tried.
async fn handle(event: TitoEvent) -> Result<Outcome, TitoError> {
    let number: u64 = event.entity.split(' ').next_back().unwrap().parse().unwrap();
    match number % 7 {
        0 if event.failed_attempts < 2 => Err(error("not yet")),
        1 if event.failed_attempts == 0 => Ok(Outcome::DeadLetter("no".to_string())),
        2 if event.failed_attempts == 0 && event.steps.is_empty() => {
            Ok(Advance::to(&2)?.after(Duration::from_secs(number % 4)).into())
        }
        // In strict order the second that it was due stays, so a second time would be before now without end.
        3 if event.not_before.is_none() => Ok(Outcome::RescheduleTo(at_second(event.timestamp + 5 + number as i64))),
        _ => Ok(Outcome::Done),
    }
}

fn work(db: &Database, clock: &TestClock) -> Harness {
    Harness::new(db, clock)
        .subscribe_with("job", Subscription::default(), handle)
        .subscribe_with("job@audit", Subscription::default(), handle)
        .subscribe_with("strict", strict(), handle)
}

/// Of a queue of which it is known once, it stays known: nothing is read but the topic's row.
#[fact]
pub async fn a_backlog_is_right_after_every_kind_of_change(db: Database, clock: TestClock) {
    if !db.is_only_writer() {
        return;
    }
    let mut random = fastrand::Rng::with_seed(tito_testkit::seed());
    let db = FaultEngine::new(db).database();
    let queue = TitoQueue::new(db.clone());
    queue.create_topic("job", 3).await.unwrap();
    queue.create_topic("strict", 2).await.unwrap();
    turning(&clock, queue.add_group("job", "audit", GroupStart::Now)).await.unwrap();
    queue.set_history("job", Some(Duration::from_secs(1_000))).await.unwrap();
    let mut references: Vec<EventReference> = Vec::new();
    let mut number = 0;
    for step in 0..300 {
        let kind = random.u32(..26);
        match kind {
            0..7 => {
                let events: Vec<_> = (0..random.u64(1..6))
                    .map(|_| {
                        number += 1;
                        let topic = if random.u32(..3) == 0 { "strict" } else { "job" };
                        Publish::new(topic, format!("{} {number}", random.u32(..4)))
                            .delay(Duration::from_secs(random.u64(0..4)))
                            .owner(["ada", "eve"][random.usize(..2)])
                    })
                    .collect();
                let queue = queue.clone();
                let is_unique = random.bool();
                let publish = |tx: Transaction| async move {
                    let mut published = Vec::new();
                    for event in events {
                        let unique = Unique::key("k").window(Duration::from_secs(20)).replace();
                        published.push(if is_unique {
                            queue.publish_unique(event, unique, &tx).await?.event().clone()
                        } else {
                            queue.publish(event, &tx).await?
                        });
                    }
                    Ok(published)
                };
                references.extend(db.transaction(publish).await.unwrap());
            }
            7..9 if !references.is_empty() => {
                let event = references[random.usize(..references.len())].clone();
                let (queue, at) = (queue.clone(), at_second(seconds(&clock) + random.i64(-2..9)));
                let change = |tx: Transaction| async move {
                    if kind == 7 {
                        queue.cancel(&event, &tx).await?;
                        Ok(None)
                    } else {
                        queue.reschedule(&event, at, &tx).await
                    }
                };
                references.extend(db.transaction(change).await.unwrap());
            }
            9..15 => {
                work(&db, &clock).advance(Duration::from_secs(random.u64(0..5))).await.unwrap();
            }
            15 => drop(queue.redrive_all(["job", "strict"][random.usize(..2)]).await.unwrap()),
            16 => drop(turning(&clock, queue.resize_topic("job", random.u16(1..6))).await.unwrap()),
            17 => drop(queue.erase_owner(["ada", "eve"][random.usize(..2)]).await.unwrap()),
            18 => drop(queue.purge_where("job", |event| event.entity.starts_with("1 ")).await.unwrap()),
            19 if random.u32(..4) == 0 => drop(queue.purge("strict").await.unwrap()),
            20 => turning(&clock, queue.add_group("job", "late", GroupStart::History)).await.unwrap(),
            21 => turning(&clock, queue.remove_group("job", "late")).await.unwrap(),
            22 => {
                let times = at_second(0)..at_second(i64::MAX);
                turning(&clock, queue.replay("job", times, "job")).await.unwrap();
            }
            23 | 24 => {
                let letters = EventFilter::default();
                let task = if kind == 23 {
                    OperationTask::Redrive { queue: "job".to_string(), letters, in_order: random.bool() }
                } else {
                    let events = EventFilter { entity: Some(format!("0 {number}")), ..letters };
                    OperationTask::Purge { queue: "job".to_string(), events }
                };
                let operation = Operation::new(task, &Operator::new("ada"));
                let id = queue.operations().start(operation).await.unwrap();
                turning(&clock, queue.operations().run(id)).await.unwrap();
            }
            _ => {
                // A handler that has come some way, of whatever is there.
                if let Some((key, value)) = stored(&db, "event:job:").await.into_iter().next() {
                    let event = TitoEvent::decode(&key, &value).unwrap();
                    assert!(queue.record_progress(&event, &step).await.unwrap());
                }
            }
        }
        for name in QUEUES {
            let has_group = Topic::find(&db, "job").await.unwrap().unwrap().groups.contains_key("late");
            if name == "job@late" && !has_group {
                continue;
            }
            let (backlog, rows) = ask(&db, name).await;
            assert_eq!(shown(&backlog), counted(&db, name).await, "step {step}, {kind}: {name}");
            assert!(!backlog.at_least, "step {step}, {kind}: {name}");
            // The first time it is counted.
            assert!(rows <= 1 || step == 0 || name == "job@late", "step {step}, {kind}: {rows} rows of {name}");
        }
    }
}

/// Time that is set back makes less due, and what is written by hand is counted anew.
#[fact]
pub async fn what_is_written_by_hand_is_counted_anew(db: Database, clock: TestClock) {
    if !db.is_only_writer() {
        return;
    }
    let db = FaultEngine::new(db).database();
    let queue = TitoQueue::new(db.clone());
    queue.create_topic("job", 1).await.unwrap();
    publish(&db, [job("a"), job("b").delay(Duration::from_secs(60))]).await;
    assert_eq!(ask(&db, "job").await.0.count, 1);
    assert_eq!(ask(&db, "job").await.1, 1, "of the topic");
    let now = db.now().await.unwrap().seconds();
    put(&db, keys::event("job", 0, now - 9, uuid::Uuid::from_u128(7)), "{}").await;
    let (backlog, rows) = ask(&db, "job").await;
    assert_eq!((shown(&backlog), rows), ((2, Some(9)), 4));
    clock.advance(Duration::from_secs(60));
    assert_eq!(shown(&ask(&db, "job").await.0), (3, Some(69)));
    let call = db.transaction(|tx| async move {
        tx.system_keys().delete(keys::event("job", 0, now - 9, uuid::Uuid::from_u128(7))).await
    });
    call.await.unwrap();
    assert_eq!(shown(&ask(&db, "job").await.0), counted(&db, "job").await);
    // What did not come to a commit counts for nothing.
    let tx = db.begin().await.unwrap();
    queue.publish(job("c"), &tx).await.unwrap();
    drop(tx);
    let tx = db.begin().await.unwrap();
    let nested = tx.nested();
    queue.publish(job("c"), &nested).await.unwrap();
    drop(nested);
    tx.commit().await.unwrap();
    assert_eq!(ask(&db, "job").await.0.count, 2);
}

/// A large queue is counted by a worker of the process, as soon as somebody has asked. Until then a part is counted.
#[fact]
pub async fn a_large_backlog_is_counted_in_the_background(db: Database, clock: TestClock) {
    let db = FaultEngine::new(db).database();
    let queue = TitoQueue::new(db.clone());
    queue.create_topic("job", 4).await.unwrap();
    queue.pause("job").await.unwrap();
    for _ in 0..3 {
        publish(&db, (0..700).map(|number| job(format!("user:{number}")))).await;
    }
    clock.advance(Duration::from_secs(3));
    let (backlog, rows) = ask(&db, "job").await;
    assert!(backlog.at_least && (100..=1_000).contains(&backlog.count), "{backlog:?}");
    assert!(backlog.oldest_due.is_some_and(|age| (3..=4).contains(&age.as_secs())), "{backlog:?}");
    assert!((100..=1_000).contains(&rows), "{rows}");
    for _ in 0..100 {
        assert!(ask(&db, "job").await.1 <= 1, "it was counted just now");
    }
    let (worker, _told) = telling(&db);
    let running = Running::start(worker.schedules(false));
    let known = loop {
        // While its row says that a worker works, it is of this process's own counting that no row is read.
        clock.advance(Duration::from_millis(250));
        tokio::time::sleep(Duration::from_millis(2)).await;
        let backlog = TitoQueue::new(db.clone()).backlog("job").await.unwrap();
        if !backlog.at_least {
            break backlog;
        }
    };
    assert_eq!(known.count, 2_100);
    running.stop().await;
    let (backlog, rows) = ask(&db, "job").await;
    assert_eq!((backlog.count, backlog.at_least), (2_100, false));
    if db.is_only_writer() {
        assert_eq!(rows, 1, "of the topic");
        publish(&db, [job("one more")]).await;
        assert_eq!(ask(&db, "job").await.0.count, 2_101);
    } else {
        assert!(rows <= 4 + 4 + 1, "{rows}: the first of each partition, and what its owner has counted");
        assert!(db.now().await.unwrap().seconds() - backlog.as_of.timestamp() < 30);
    }
}

/// After a restart, and after a kill, it is counted anew.
#[tokio::test]
async fn a_backlog_is_right_after_a_restart_and_after_a_kill() {
    let mut directory = tempfile::tempdir().unwrap();
    for round in 0..4_u64 {
        let db = EmbeddedBackend::open(directory.path()).await.unwrap();
        let queue = TitoQueue::new(db.clone());
        queue.create_topic("job", 2).await.unwrap();
        assert_eq!(queue.backlog("job").await.unwrap().count, 5 * round);
        publish(&db, (0..5).map(job)).await;
        assert_eq!(queue.backlog("job").await.unwrap().count, 5 * round + 5);
        let killed = tempfile::tempdir().unwrap();
        if round % 2 == 1 {
            // The files as a kill leaves them.
            for file in std::fs::read_dir(directory.path()).unwrap() {
                let file = file.unwrap();
                std::fs::copy(file.path(), killed.path().join(file.file_name())).unwrap();
            }
        }
        db.close().await;
        if round % 2 == 1 {
            directory = killed;
        }
    }
}
