//! Filling and draining of topics.

use std::future::{Ready, ready};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tito_core::keys;
use tito_core::prelude::*;
use tito_worker::WorkerBuilder;
use tito_worker::prelude::*;
use tokio::runtime::Runtime;
use tokio::sync::Notify;

use super::load::{Put, run_tasks};

pub const TOPIC: &str = "user";
pub const PARTITIONS: u16 = 16;

/// Publishes `count` events of as many entities in big transactions, due after `delay`, into [`PARTITIONS`].
pub fn fill(runtime: &Runtime, db: &Database, count: usize, delay: Duration) {
    fill_with(runtime, db, &[TOPIC], PARTITIONS, (0..count).map(|number| event(number, delay)));
}

/// Creates topics, and publishes events into them in big transactions.
pub fn fill_with(
    runtime: &Runtime,
    db: &Database,
    topics: &[impl AsRef<str>],
    partitions: u16,
    events: impl Iterator<Item = Publish>,
) {
    const AT_ONCE: usize = 1_000;
    let queue = TitoQueue::new(db.clone());
    let topics = topics.iter().map(|topic| topic.as_ref().to_string()).collect();
    let creating = queue.clone();
    run_tasks(runtime, 64, topics, move |topic: String| {
        let queue = creating.clone();
        async move {
            queue.create_topic(&topic, partitions).await.unwrap();
        }
    });
    let mut batches = vec![Vec::with_capacity(AT_ONCE)];
    for event in events {
        if batches[batches.len() - 1].len() == AT_ONCE {
            batches.push(Vec::with_capacity(AT_ONCE));
        }
        let last = batches.len() - 1;
        batches[last].push(event);
    }
    run_tasks(runtime, 2, batches, move |batch| {
        let queue = queue.clone();
        async move {
            let tx = queue.engine.begin().await.unwrap();
            for event in batch {
                queue.publish(event, &tx).await.unwrap();
            }
            tx.commit().await.unwrap();
        }
    });
}

/// Publishes `count` events that are due at once, each in a transaction of its own, from `tasks` concurrent tasks.
pub fn publish(runtime: &Runtime, db: &Database, tasks: usize, count: usize) -> Duration {
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

/// All events of [`TOPIC`], by partition.
pub async fn events(db: &Database) -> Vec<Vec<Put>> {
    let tx = db.begin().await.unwrap();
    let mut partitions = Vec::new();
    for partition in 0..PARTITIONS {
        partitions.push(tx.scan(keys::events_of_partition(TOPIC, partition), usize::MAX).await.unwrap());
    }
    partitions
}

/// Counts what handlers have handled, and tells when it was all.
#[derive(Clone)]
pub struct Countdown {
    left: Arc<AtomicUsize>,
    done: Arc<Notify>,
}

impl Countdown {
    pub fn of(count: usize) -> Self {
        Self { left: Arc::new(AtomicUsize::new(count)), done: Arc::default() }
    }

    pub fn one(&self) {
        if self.left.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.done.notify_one();
        }
    }
}

/// Runs a worker with an empty handler until it has handled `count` events and their acknowledgements are durable.
pub fn drain(runtime: &Runtime, db: &Database, count: usize) -> Duration {
    drain_with(runtime, db, count, |worker, left| worker.subscribe(TOPIC, empty(left)))
}

/// An empty handler.
pub fn empty(left: Countdown) -> impl Fn(TitoEvent) -> Ready<Result<(), TitoError>> + Send + Sync + 'static {
    move |_| {
        left.one();
        ready(Ok(()))
    }
}

/// Runs a worker of one's own until its handlers have counted `count` events and their acknowledgements are durable.
pub fn drain_with(
    runtime: &Runtime,
    db: &Database,
    count: usize,
    subscribe: impl FnOnce(WorkerBuilder, Countdown) -> WorkerBuilder,
) -> Duration {
    let left = Countdown::of(count);
    let begin = Instant::now();
    let report = runtime.block_on(async {
        let worker = subscribe(Worker::builder(TitoQueue::new(db.clone())), left.clone()).build();
        worker.run(left.done.notified()).await.unwrap()
    });
    assert_eq!(report.done, count as u64, "every event is handled once");
    begin.elapsed()
}
