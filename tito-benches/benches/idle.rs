//! What a worker with nothing to do costs, and how soon it handles an event.
#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout)]

mod support;

use std::sync::Arc;
use std::time::{Duration, Instant};

use support::process::cpu_time;
use support::queue::{PARTITIONS, TOPIC};
use support::{asked_of, directory, quantile, rounds, runtime, scaled, table};
use tito_core::prelude::*;
use tito_worker::prelude::*;
use tokio::sync::{Notify, mpsc};

const ASKED_PERCENT: f64 = 1.0;
const ASKED_MILLIS: f64 = 1.0;

/// Of many subscriptions together.
const SUBSCRIPTIONS: usize = 5_000;
const ASKED_PERCENT_OF_ALL: f64 = 2.0;

fn main() {
    let (share, latencies) = runtime().block_on(measure());
    let median = quantile(latencies.clone(), 0.5);
    println!("A worker with {PARTITIONS} partitions\n");
    table(
        &["", "measured", ""],
        &[
            vec![
                "share of a core while idle".to_string(),
                format!("{share:.2} %"),
                asked_of(format!("below {ASKED_PERCENT} %"), share < ASKED_PERCENT),
            ],
            vec![
                "commit's answer to handler, median".to_string(),
                format!("{median:.3} ms"),
                asked_of(format!("below {ASKED_MILLIS} ms"), median < ASKED_MILLIS),
            ],
            vec!["99 of 100 within".to_string(), format!("{:.3} ms", quantile(latencies, 0.99)), String::new()],
        ],
    );
    println!("One worker with {SUBSCRIPTIONS} idle subscriptions, share of a core\n");
    let mut lines = Vec::new();
    for partitions in [1, PARTITIONS] {
        for is_on_disk in [false, true] {
            let share = runtime().block_on(async {
                let directory = directory();
                let db = if is_on_disk {
                    EmbeddedBackend::open(directory.path()).await.unwrap()
                } else {
                    EmbeddedBackend::in_memory().await.unwrap()
                };
                share_of_many(db, partitions).await
            });
            lines.push(vec![
                format!("{partitions} partitions each, {}", if is_on_disk { "on a disk" } else { "in memory" }),
                format!("{share:.2} %"),
                asked_of(format!("at most {ASKED_PERCENT_OF_ALL} %"), share <= ASKED_PERCENT_OF_ALL),
            ]);
        }
    }
    #[cfg(feature = "tikv")]
    for partitions in [1, PARTITIONS] {
        lines.push(on_tikv(partitions));
    }
    table(&["", "measured", ""], &lines);
}

/// On a cluster in this process, which counts as well.
#[cfg(feature = "tikv")]
fn on_tikv(partitions: u16) -> Vec<String> {
    let (share, calls) = runtime().block_on(async {
        let cluster = tito_testkit::MockCluster::builder().stores(3).start().await.unwrap();
        let db = TiKVBackend::connect(cluster.pd_endpoints()).await.unwrap();
        let before = std::cell::OnceCell::new();
        let share = share_of_many_from(db, partitions, || {
            let _ = before.set((cluster.calls(), Instant::now()));
        });
        let share = share.await;
        let (calls, since) = before.get().unwrap();
        let made: u64 = cluster.calls().since(calls).made().map(|(_, count)| count).sum();
        (share, made as f64 / since.elapsed().as_secs_f64())
    });
    vec![
        format!("{partitions} partitions each, TiKV in process, {calls:.0} calls a second"),
        format!("{share:.2} %"),
        asked_of(format!("at most {ASKED_PERCENT_OF_ALL} %"), share <= ASKED_PERCENT_OF_ALL),
    ]
}

/// The share of a core in percent that many subscriptions take which have nothing to do.
async fn share_of_many(db: Database, partitions: u16) -> f64 {
    share_of_many_from(db, partitions, || {}).await
}

/// The same, and tells when it begins to be measured.
async fn share_of_many_from(db: Database, partitions: u16, begins: impl FnOnce()) -> f64 {
    let queue = TitoQueue::new(db.clone());
    let mut worker = Worker::builder(queue.clone());
    for number in 0..scaled(SUBSCRIPTIONS) {
        let topic = format!("topic-{number:05}");
        queue.create_topic(&topic, partitions).await.unwrap();
        worker = worker.subscribe(topic, |_: TitoEvent| async { Ok::<_, TitoError>(()) });
    }
    let (worker, stop) = (worker.build(), Arc::new(Notify::new()));
    let stopped = stop.clone();
    let running = tokio::spawn(async move { worker.run(stopped.notified()).await });
    // The first reads of all partitions are over once hardly any time is used any more, or they never are.
    for _ in 0..30 {
        let used = cpu_time();
        tokio::time::sleep(Duration::from_secs(1)).await;
        if (cpu_time() - used).as_secs_f64() < 0.05 {
            break;
        }
    }
    // Everything that comes round comes round in 15 s, but what comes round once a minute or in ten.
    begins();
    let (begin, used) = (Instant::now(), cpu_time());
    tokio::time::sleep(Duration::from_secs(4 * rounds() as u64)).await;
    let share = 100.0 * (cpu_time() - used).as_secs_f64() / begin.elapsed().as_secs_f64();
    stop.notify_one();
    running.await.unwrap().unwrap();
    db.close().await;
    share
}

/// The share of a core in percent, and latencies in milliseconds.
async fn measure() -> (f64, Vec<f64>) {
    let directory = directory();
    let db = EmbeddedBackend::open(directory.path()).await.unwrap();
    let queue = TitoQueue::new(db.clone());
    queue.create_topic(TOPIC, PARTITIONS).await.unwrap();
    let (handled, mut handlings) = mpsc::unbounded_channel();
    let worker = Worker::builder(queue.clone())
        .subscribe(TOPIC, move |_: TitoEvent| {
            let _ = handled.send(Instant::now());
            async { Ok::<_, TitoError>(()) }
        })
        .build();
    let stop = Arc::new(Notify::new());
    let stopped = stop.clone();
    let running = tokio::spawn(async move { worker.run(stopped.notified()).await });

    // Polling has backed off to its longest pause after a second.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let (begin, used) = (Instant::now(), cpu_time());
    tokio::time::sleep(Duration::from_secs(rounds() as u64)).await;
    let share = 100.0 * (cpu_time() - used).as_secs_f64() / begin.elapsed().as_secs_f64();

    let mut latencies = Vec::new();
    for number in 0..scaled(1_000) {
        let tx = db.begin().await.unwrap();
        queue.publish(Publish::new(TOPIC, format!("user:{number}")), &tx).await.unwrap();
        tx.commit().await.unwrap();
        let answered = Instant::now();
        let handled = handlings.recv().await.unwrap();
        // The handler can be faster than this task.
        latencies.push(handled.saturating_duration_since(answered).as_secs_f64() * 1_000.0);
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    stop.notify_one();
    running.await.unwrap().unwrap();
    db.close().await;
    (share, latencies)
}
