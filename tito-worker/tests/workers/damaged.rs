//! A row of Tito's own that can't be read spoils what it is of, and nothing else.
#![allow(clippy::print_stderr, reason = "a failure is about the row that was named last")]

use std::fmt::Debug;
use std::time::Duration;

use tito_core::database::{Walk, drop_expired_markers, prune_idempotency_markers};
use tito_core::event::TitoEvent;
use tito_core::prelude::*;
use tito_core::{Timestamp, TxOptions};
use tito_testkit::TestClock;
use tito_worker::keys;
use tito_worker::prelude::*;
use tito_worker::{GroupStart, Published, QueueError, Schedule, Unique, WorkerBuilder};
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use uuid::Uuid;

use crate::support::*;

const MINUTE: Duration = Duration::from_secs(60);

/// What a call that is about the damaged row says.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Told {
    /// The topic `bad` can't be used.
    Topic,
    /// The schedule `bad` can't.
    Schedule,
    /// The unique key can't be published with.
    Unique,
    /// The idempotency key can't be used.
    Marker,
    /// The event is moved to the dead letters, or shown without its content.
    Event,
    /// Nothing: it counts as not there.
    Nothing,
}

fn rows() -> Vec<(Vec<u8>, Told)> {
    let id = Uuid::from_u128(17);
    vec![
        (keys::topic("bad"), Told::Topic),
        (keys::schedule("bad"), Told::Schedule),
        (keys::unique_event("good", "k"), Told::Unique),
        (keys::idempotency_marker("k"), Told::Marker),
        (keys::event("good", 0, 1, id), Told::Event),
        (keys::event("good@group", 0, 1, id), Told::Event),
        (keys::event("bad", 0, 1, id), Told::Event),
        (keys::dead_event("good", 0, 1, id), Told::Event),
        (keys::done_event("good", 0, 1, id), Told::Event),
        (keys::low_watermark("good", 0), Told::Nothing),
        (keys::lease("good", 0), Told::Nothing),
        (keys::member("fleet", id), Told::Nothing),
        (keys::process(id), Told::Nothing),
        (keys::copied_event("good@group", id), Told::Nothing),
        // Keys that nobody writes.
        (b"topic:\"".to_vec(), Told::Nothing),
        (b"schedule:\"".to_vec(), Told::Nothing),
        (b"lease:good:".to_vec(), Told::Nothing),
        (b"member:fleet:\"".to_vec(), Told::Nothing),
        (b"process:\"".to_vec(), Told::Nothing),
        (b"event:good:0000:\"".to_vec(), Told::Event),
    ]
}

fn worker(db: &Database, tell: &UnboundedSender<TitoEvent>) -> WorkerBuilder {
    let mut worker = Worker::builder(TitoQueue::new(db.clone()));
    for queue in ["bad", "good", "good@group"] {
        let tell = tell.clone();
        worker = worker.subscribe(queue, move |event: TitoEvent| {
            let _ = tell.send(event);
            async { Done::Ok(()) }
        });
    }
    worker
}

fn told_now(told: &mut UnboundedReceiver<TitoEvent>) -> Vec<String> {
    std::iter::from_fn(|| told.try_recv().ok()).map(|event| event.entity).collect()
}

/// Everything that is not about the damaged row.
async fn others_go_on(db: &Database, clock: &TestClock, key: &[u8], how: Told) {
    let queue = TitoQueue::new(db.clone());
    let (tell, mut told) = mpsc::unbounded_channel();
    let running = Running::start(worker(db, &tell));
    publish(db, [Publish::new("good", "while it runs")]).await;
    // In both queues of the topic; the schedule may fire as well.
    for _ in ["good", "good@group"] {
        while told.recv().await.unwrap().entity != "while it runs" {}
    }
    running.stop().await;

    publish(db, [Publish::new("good", "drained")]).await;
    clock.advance(MINUTE);
    let drained = worker(db, &tell).build().drain().await;
    match how {
        Told::Topic => assert_named(drained.map(drop), key),
        _ => drop(drained.unwrap()),
    }
    let handled = told_now(&mut told);
    let count = |entity: &str| handled.iter().filter(|handled| *handled == entity).count();
    assert_eq!((count("drained"), count("fired") >= 2), (2, true), "{handled:?}");

    let names: Vec<_> = queue.topics(9, None).await.unwrap().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, if how == Told::Topic { vec!["good", "more"] } else { vec!["bad", "good", "more"] });
    let pages: Vec<_> = queue.topics(1, Some("a")).await.unwrap().into_iter().map(|(name, _)| name).collect();
    assert_eq!(pages, [if how == Told::Topic { "good" } else { "bad" }], "as many as were asked for");
    let names: Vec<_> = queue.schedules().await.unwrap().into_iter().map(|schedule| schedule.name).collect();
    assert_eq!(names, if how == Told::Schedule { vec!["good"] } else { vec!["bad", "good"] });
    assert_eq!(queue.members("fleet").await.unwrap().len(), 0);
    for name in ["good", "good@group", "more"] {
        queue.stats(name).await.unwrap();
        queue.leases(name).await.unwrap();
        queue.sweep_once(name).await.unwrap();
        queue.peek(name, 10, None).await.unwrap();
    }
    assert_eq!(queue.finish_changes().await.unwrap(), 0);
    let unknown = queue.stats("goodd").await.unwrap_err();
    assert!(matches!(&unknown, QueueError::UnknownTopic { nearest: Some(name), .. } if name == "good"), "{unknown}");
    prune_idempotency_markers(db, Timestamp::ZERO).await.unwrap();
    let mut markers = Walk::over(keys::idempotency_markers());
    while !markers.is_over() {
        drop_expired_markers(db, &mut markers).await.unwrap();
    }
}

fn assert_named<E: Into<TitoError> + Debug>(outcome: Result<(), E>, damaged: &[u8]) {
    let error = outcome.unwrap_err().into();
    assert!(matches!(&error, TitoError::Malformed { key, .. } if key.as_bytes() == damaged), "{error:?}");
}

async fn unique(db: &Database, key: &str) -> Result<(), TitoError> {
    let queue = TitoQueue::new(db.clone());
    let published = db.transaction(|tx| async move {
        queue.publish_unique(Publish::new("more", "a"), Unique::key(key).window(MINUTE).keep(), &tx).await
    });
    published.await.map(|published| assert!(!matches!(published, Published::Kept { .. })))
}

async fn marked(db: &Database, key: &str) -> Result<(), TitoError> {
    let options = TxOptions::default().idempotency_key(key);
    db.transaction_with(options, |tx| async move { tx.put(b"marked".to_vec(), Vec::new()).await }).await
}

#[fact]
pub async fn a_damaged_row_spoils_itself_only(db: Database, clock: TestClock) {
    let queue = TitoQueue::new(db.clone());
    for name in ["bad", "good", "more"] {
        queue.create_topic(name, 1).await.unwrap();
    }
    turning(&clock, queue.add_group("good", "group", GroupStart::Now)).await.unwrap();
    for name in ["bad", "good"] {
        let fired = Publish::new("good", if name == "good" { "fired" } else { "not fired" });
        let every = if name == "good" { MINUTE } else { 1_000_000 * MINUTE };
        queue.put_schedule(Schedule::every(name, every).publishes(fired)).await.unwrap();
    }
    for (number, (key, how)) in rows().into_iter().enumerate() {
        let shown = String::from_utf8_lossy(&key).into_owned();
        eprintln!("{shown}");
        let before = db.begin().await.unwrap().get(&key).await.unwrap();
        put(&db, key.clone(), "nonsense").await;
        // What this process has read of topics is outdated then.
        clock.advance(Duration::from_secs(10));
        others_go_on(&db, &clock, &key, how).await;
        match how {
            Told::Topic => {
                assert_named(queue.stats("bad").await.map(drop), &key);
                assert_named(queue.pause("bad").await, &key);
                clock.advance(Duration::from_secs(10));
                let publishing = db.transaction(|tx| {
                    let queue = queue.clone();
                    async move { queue.publish(Publish::new("bad", "a"), &tx).await.map(drop) }
                });
                assert_named(publishing.await, &key);
            }
            Told::Schedule => assert_named(queue.pause_schedule("bad").await.map(drop), &key),
            Told::Unique => {
                let named = keys::unique_event("more", "k");
                put(&db, named.clone(), "nonsense").await;
                assert_named(unique(&db, "k").await, &named);
                unique(&db, &format!("another {number}")).await.unwrap();
                db.transaction(|tx| async move { tx.system_keys().delete(named).await }).await.unwrap();
                unique(&db, "k").await.unwrap();
            }
            Told::Marker => {
                assert_named(marked(&db, "k").await, &key);
                marked(&db, &format!("another {number}")).await.unwrap();
            }
            Told::Event | Told::Nothing => {}
        }
        // The repair: as it was, or gone.
        let repair = (key.clone(), before);
        db.transaction(|tx| async move {
            match repair {
                (key, Some(value)) => tx.system_keys().put(key, value).await,
                (key, None) => tx.system_keys().delete(key).await,
            }
        })
        .await
        .unwrap();
        clock.advance(Duration::from_secs(10));
        let (tell, mut told) = mpsc::unbounded_channel();
        publish(&db, [Publish::new("bad", "repaired")]).await;
        worker(&db, &tell).build().drain().await.unwrap();
        let handled = told_now(&mut told);
        assert!(handled.contains(&"repaired".to_string()), "{shown}: {handled:?}");
    }
    marked(&db, "k").await.unwrap();
    assert!(matches!(marked(&db, "k").await, Err(TitoError::AlreadyApplied { .. })));
}
