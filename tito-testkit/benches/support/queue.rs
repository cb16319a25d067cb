//! Filling and draining of topics.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tito_core::prelude::*;
use tito_worker::prelude::*;
use tokio::runtime::Runtime;
use tokio::sync::Notify;

use super::load::run_tasks;

pub const TOPIC: &str = "user";
pub const PARTITIONS: u16 = 16;

/// Publishes `count` events of as many entities in big transactions, due after `delay`, into [`PARTITIONS`].
pub fn fill<E: TitoEngine>(runtime: &Runtime, db: &E, count: usize, delay: Duration) {
    const AT_ONCE: usize = 1_000;
    let queue = TitoQueue::new(db.clone());
    runtime.block_on(queue.create_topic(TOPIC, PARTITIONS)).unwrap();
    let batches: Vec<_> = (0..count).step_by(AT_ONCE).map(|first| first..(first + AT_ONCE).min(count)).collect();
    run_tasks(runtime, 2, batches, move |batch| {
        let queue = queue.clone();
        async move {
            let tx = queue.engine.begin().await.unwrap();
            for number in batch {
                queue.publish(event(number, delay), &tx).await.unwrap();
            }
            tx.commit().await.unwrap();
        }
    });
}

/// Publishes `count` events that are due at once, each in a transaction of its own, from `tasks` concurrent tasks.
pub fn publish<E: TitoEngine>(runtime: &Runtime, db: &E, tasks: usize, count: usize) -> Duration {
    let queue = TitoQueue::new(db.clone());
    run_tasks(runtime, tasks, (0..count).collect(), move |number| {
        let queue = queue.clone();
        async move {
            let tx = queue.engine.begin().await.unwrap();
            queue.publish(event(number, Duration::ZERO), &tx).await.unwrap();
            tx.commit().await.unwrap();
        }
    })
}

fn event(number: usize, delay: Duration) -> Publish {
    Publish::new(TOPIC, format!("user:018bcfe5-687b-7aaf-8d00-{number:012}")).action("insert").delay(delay)
}

/// Runs a worker with an empty handler until it has handled `count` events and their acknowledgements are durable.
pub fn drain<E: TitoEngine>(runtime: &Runtime, db: &E, count: usize) -> Duration {
    let (handled, done) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
    let begin = Instant::now();
    let report = runtime.block_on(async {
        let last = done.clone();
        let worker = Worker::builder(TitoQueue::new(db.clone()))
            .subscribe(TOPIC, move |_: TitoEvent| {
                if handled.fetch_add(1, Ordering::Relaxed) + 1 == count {
                    last.notify_one();
                }
                async { Ok::<_, TitoError>(()) }
            })
            .build();
        worker.run(done.notified()).await
    });
    assert_eq!(report.done, count as u64, "every event is handled once");
    begin.elapsed()
}
