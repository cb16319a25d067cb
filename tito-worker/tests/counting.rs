//! What waits in a large database is counted in the background, while other events are published and handled.
#![allow(clippy::print_stdout, clippy::unwrap_used, missing_docs)]

use std::time::{Duration, Instant};

use chrono::DateTime;
use tito_core::event::TitoEvent;
use tito_core::{Database, Timestamp, Transaction, keys};
use tito_testkit::{EngineSettings, FaultEngine, TestClock, WithFaults};
use tito_worker::prelude::*;
use tokio::sync::{mpsc, oneshot};

const PARTITIONS: u16 = 16;

/// In how many seconds what waits falls due: later than the clock comes while it is counted.
const A_YEAR: i64 = 31_536_000;

/// How many are handled once the count is over.
const AFTERWARDS: usize = 50;

/// How many events wait, with `TITO_TEST_LARGE` a million.
fn many() -> u64 {
    if std::env::var_os("TITO_TEST_LARGE").is_some() { 1_000_000 } else { 20_000 }
}

async fn publish(queue: &TitoQueue, event: Publish) {
    queue.engine.transaction(|tx| async move { queue.publish(event, &tx).await }).await.unwrap();
}

/// Events like a first one, which fall due in a year and more, in all partitions.
async fn fill(db: &Database) {
    let queue = TitoQueue::new(db.clone());
    queue.create_topic("mail", PARTITIONS).await.unwrap();
    let now = db.now().await.unwrap().seconds();
    publish(&queue, Publish::new("mail", "user:0").at(DateTime::from_timestamp(now + A_YEAR, 0).unwrap())).await;
    let event = queue.peek("mail", 1, None).await.unwrap().remove(0).event.unwrap();
    let copy = |number: u64| {
        let mut event: TitoEvent = event.clone();
        event.id = tito_core::event::event_id(Timestamp::from_millis(number), 0, number);
        event.entity = format!("user:{number}");
        event.timestamp += (number % 1_000) as i64;
        let partition = keys::partition_of(&event.entity, PARTITIONS);
        (keys::event("mail", partition, event.timestamp, event.id), serde_json::to_vec(&event).unwrap())
    };
    let mut rows = (1..many()).map(copy).peekable();
    while rows.peek().is_some() {
        let some: Vec<_> = rows.by_ref().take(2_000).collect();
        let put = |tx: Transaction| async move {
            for (key, value) in some {
                tx.system_keys().put(key, value).await?;
            }
            Ok(())
        };
        db.transaction(put).await.unwrap();
    }
}

#[tokio::test]
async fn what_waits_is_counted_once_while_others_are_published_and_handled() {
    let clock = TestClock::new();
    let settings = || EngineSettings::default().test_clock(&clock);
    let filled = tito_testkit::on_disk_with(settings()).await.unwrap();
    let began = Instant::now();
    fill(filled.database()).await;
    println!("{} events written in {:?}", many(), began.elapsed());
    let opened = filled.reopen(settings()).await.unwrap();
    let db = FaultEngine::new(opened.database().clone()).database();
    let queue = TitoQueue::new(db.clone());
    let (handled, mut handles) = mpsc::channel(1);
    let worker = Worker::builder(queue.clone()).schedules(false).subscribe("mail", move |_: TitoEvent| {
        let handled = handled.clone();
        async move { handled.send(()).await.map_err(|error| error.to_string()) }
    });
    let worker = worker.build();
    let (stop, stopped) = oneshot::channel::<()>();
    let run = tokio::spawn(async move { worker.run(async { drop(stopped.await) }).await });

    let began = Instant::now();
    let is_known = || db.pending_tally("mail").up_to(0).is_some();
    let (mut rounds, mut left) = (0, AFTERWARDS);
    while left > 0 {
        publish(&queue, Publish::new("mail", format!("user:{rounds}"))).await;
        handles.recv().await.unwrap();
        // Whoever asks while it is counted does not begin it again.
        clock.advance(Duration::from_secs(5));
        queue.backlog("mail").await.unwrap();
        if left == AFTERWARDS && !is_known() {
            rounds += 1;
            continue;
        }
        if left == AFTERWARDS {
            println!("counted in {:?}, while {rounds} events were published and handled", began.elapsed());
        }
        assert!(is_known(), "once it is known it stays known");
        left -= 1;
    }
    drop(stop);
    run.await.unwrap().unwrap();
    assert_eq!(queue.backlog("mail").await.unwrap().count, 0, "all that was due is done");

    clock.advance(Duration::from_secs(2 * A_YEAR as u64));
    let before = db.faults().rows_read();
    let backlog = queue.backlog("mail").await.unwrap();
    assert_eq!((backlog.count, backlog.at_least), (many(), false));
    assert_eq!(db.faults().rows_read() - before, 1, "the topic");
    db.close().await;
}
