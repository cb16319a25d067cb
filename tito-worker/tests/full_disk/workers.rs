//! Workers go on while the disk is full, as far as they need no space, and altogether once there is some.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tito_core::Transaction;
use tito_core::prelude::*;
use tito_worker::Subscription;
use tito_worker::prelude::*;
use tokio::sync::oneshot;

use crate::disk::SmallDisk;

const EVENTS: u32 = 500;

async fn open(disk: &SmallDisk) -> Database {
    EmbeddedBackend::builder().memtable_bytes(2 << 20).open(disk.path().join("data")).await.unwrap()
}

async fn publish(db: &Database, topic: &'static str) {
    let queue = TitoQueue { engine: db.clone() };
    for first in (0..EVENTS).step_by(100) {
        let queue = queue.clone();
        db.transaction(|tx| async move {
            for number in first..first + 100 {
                queue.publish(Publish::new(topic, format!("job {number}")), &tx).await?;
            }
            Ok(())
        })
        .await
        .unwrap();
    }
}

/// Fills the disk and the database on it, to the last commit that still goes through.
async fn fill(db: &Database, disk: &SmallDisk) {
    disk.fill();
    let mut row = 0;
    loop {
        row += 1;
        let put =
            db.transaction(|tx| async move { tx.put(format!("ballast {row}").into_bytes(), vec![1; 5_000]).await });
        match put.await {
            Ok(()) => {}
            Err(TitoError::StorageFull { .. }) => return,
            Err(error) => panic!("{error:?}"),
        }
    }
}

/// How many events wait for a worker, now or later.
async fn pending(db: &Database, topic: &str) -> u64 {
    TitoQueue { engine: db.clone() }.stats(topic).await.unwrap().total.pending
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_are_acknowledged_while_the_disk_is_full() {
    let Some(disk) = SmallDisk::mount(64) else { return };
    let db = open(&disk).await;
    publish(&db, "job").await;
    fill(&db, &disk).await;
    let builder = Worker::builder(TitoQueue { engine: db.clone() });
    let worker = builder.subscribe("job", |_: TitoEvent| async { Ok::<_, TitoError>(()) }).build();
    let report = tokio::time::timeout(Duration::from_secs(120), worker.drain()).await.unwrap().unwrap();
    assert_eq!(report.done, u64::from(EVENTS));
    assert_eq!(pending(&db, "job").await, 0);
}

/// Effects that need space wait for it, and are not charged with an attempt.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn transactional_effects_wait_for_space_and_happen_once() {
    let Some(disk) = SmallDisk::mount(64) else { return };
    let db = open(&disk).await;
    publish(&db, "job").await;
    fill(&db, &disk).await;
    let tried = Arc::new(AtomicU32::new(0));
    let handler = {
        let tried = tried.clone();
        move |event: TitoEvent, tx: Transaction| {
            let tried = tried.clone();
            async move {
                tried.fetch_add(1, Ordering::SeqCst);
                tx.put(format!("effect {}", event.entity).into_bytes(), vec![1; 2_000]).await
            }
        }
    };
    let builder = Worker::builder(TitoQueue { engine: db.clone() });
    let worker = builder.subscribe_with("job", Subscription::default(), handler).build();
    let (stop, stopped) = oneshot::channel::<()>();
    let running = tokio::spawn(async move { worker.run(async { drop(stopped.await) }).await });
    let patience = Duration::from_secs(120);
    let refused = async {
        while tried.load(Ordering::SeqCst) < 100 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(patience, refused).await.unwrap();
    assert!(pending(&db, "job").await > 0, "there is no space for all effects");

    disk.make_space();
    let done = async {
        while pending(&db, "job").await > 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(patience, done).await.expect("the worker goes on by itself");
    stop.send(()).unwrap();
    let report = running.await.unwrap().unwrap();
    // Those that there was no space for were postponed, each as often as it was tried.
    assert_eq!((report.done, report.retried, report.dead), (u64::from(EVENTS), 0, 0), "{report:?}");
    let tx = db.begin().await.unwrap();
    let effects = tx.scan(tito_core::keys::KeyRange::prefix("effect "), 10_000).await.unwrap();
    assert_eq!(effects.len(), EVENTS as usize);
}
