//! Filling and draining of topics.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use tito_core::prelude::*;
use tito_worker::prelude::*;
use tokio::runtime::Runtime;
use tokio::sync::Notify;

use super::load::run_tasks;

pub const TOPIC: &str = "user";
pub const PARTITIONS: u16 = 16;

/// Publishes `count` events of as many entities in big transactions, due after `delay`.
pub fn fill(runtime: &Runtime, db: &EmbeddedBackend, count: usize, delay: Duration) {
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
pub fn publish(runtime: &Runtime, db: &EmbeddedBackend, tasks: usize, count: usize) -> Duration {
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

/// How long it took to handle events and acknowledge them.
pub struct Drained {
    pub total: Duration,
    /// From the beginning until a tenth was handled.
    pub first_tenth: Duration,
    /// From when all but a tenth were handled to the end.
    pub last_tenth: Duration,
}

/// Runs a worker with an empty handler until it has handled `count` events and their acknowledgements are durable.
pub fn drain(runtime: &Runtime, db: &EmbeddedBackend, count: usize) -> Drained {
    let progress = Arc::new(Progress::new(count));
    let begin = Instant::now();
    let report = runtime.block_on(async {
        let handled = progress.clone();
        let worker = Worker::builder(TitoQueue::new(db.clone()))
            .subscribe(TOPIC, move |_: TitoEvent| {
                handled.one_more();
                async { Ok::<_, TitoError>(()) }
            })
            .build();
        worker.run(progress.done.notified()).await
    });
    let total = begin.elapsed();
    assert_eq!(report.done, count as u64, "every event is handled once");
    let [first, ninth] = progress.passed.each_ref().map(|passed| *passed.get().unwrap());
    Drained { total, first_tenth: first - begin, last_tenth: begin + total - ninth }
}

/// When how many events were handled.
struct Progress {
    handled: AtomicUsize,
    count: usize,
    /// The first tenth, and all but the last.
    passed: [OnceLock<Instant>; 2],
    done: Notify,
}

impl Progress {
    fn new(count: usize) -> Self {
        Self { handled: AtomicUsize::new(0), count, passed: Default::default(), done: Notify::new() }
    }

    fn one_more(&self) {
        let handled = self.handled.fetch_add(1, Ordering::Relaxed) + 1;
        for (passed, at) in self.passed.iter().zip([self.count / 10, self.count - self.count / 10]) {
            if handled == at {
                passed.get_or_init(Instant::now);
            }
        }
        if handled == self.count {
            self.done.notify_one();
        }
    }
}
