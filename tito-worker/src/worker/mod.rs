//! Workers: they read due events of their partitions, hand them to handlers and record the outcomes.
//!
//! | file | idea |
//! |---|---|
//! | `builder` | what a worker is told |
//! | `partition` | the loop of one partition |
//! | `reader` | when to read which part of the partition |
//! | `held` | the events that are in memory |
//! | `lanes` | order within an entity, concurrency across entities |
//! | `runner` | one run of a handler |
//! | `record` | outcomes, written with the acknowledgement |
//! | `report` | what was done |

mod builder;
mod held;
mod lanes;
mod partition;
mod reader;
mod record;
mod report;
mod runner;

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::FutureExt;
use tito_core::event::Topic;
use tito_core::{Result, TitoEngine};
use tokio::sync::watch;
use tokio::task::JoinSet;

use self::partition::{Partition, Signals};
use self::runner::Runner;
use crate::janitor;
use crate::partitions::PartitionConfig;
use crate::queue::TitoQueue;

pub use self::builder::{Subscription, WorkerBuilder};
pub use self::report::WorkerReport;

/// How often the flag of [`WorkerBuilder::active_while`] is looked at.
const ACTIVE_CHECK: Duration = Duration::from_millis(50);

/// The pauses between attempts to reach an engine that fails.
const FIRST_ERROR_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_ERROR_PAUSE: Duration = Duration::from_secs(5);

/// Consumes topics: all partitions of its share, each in a task of its own.
///
/// Every event is handed out at least once, events of one entity one at a time and in order, events of different
/// entities concurrently. An event that was handed out stays stored until its outcome is recorded.
///
/// ```
/// use tito_core::prelude::*;
/// use tito_worker::prelude::*;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), TitoError> {
/// let db = EmbeddedBackend::in_memory().await?;
/// let queue = TitoQueue::new(db.clone());
/// db.transaction(|tx| {
///     let queue = queue.clone();
///     async move { queue.publish(Publish::new("email", "user:17").action("welcome"), &tx).await }
/// })
/// .await?;
///
/// let worker = Worker::builder(queue)
///     .subscribe("email", |event: TitoEvent| async move {
///         println!("{} {}", event.action, event.entity);
///         Ok::<_, TitoError>(())
///     })
///     .build();
/// let report = worker.drain().await?;
/// assert_eq!(report.done, 1);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Worker<E: TitoEngine> {
    queue: TitoQueue<E>,
    partitions: PartitionConfig,
    active: Option<Arc<AtomicBool>>,
    shutdown_timeout: Duration,
    subscriptions: Vec<Arc<Runner<E>>>,
}

impl<E: TitoEngine> Worker<E> {
    /// A worker of all partitions without subscriptions, to be told more.
    pub fn builder(queue: TitoQueue<E>) -> WorkerBuilder<E> {
        WorkerBuilder::new(queue)
    }

    /// Works until `shutdown` completes. Then no more events are handed out, running handlers get the shutdown timeout
    /// to end, and what they came to is recorded. Errors of the engine are logged and tried again until then.
    pub async fn run(&self, shutdown: impl Future<Output = ()> + Send) -> WorkerReport {
        let (stop, stopped) = watch::channel(false);
        let (activate, active) = watch::channel(self.is_active());
        let mut tasks = JoinSet::new();
        for runner in &self.subscriptions {
            let runner = runner.clone();
            let (queue, share) = (self.queue.clone(), self.partitions);
            let signals = Signals { stopped: stopped.clone(), active: active.clone() };
            let timeout = self.shutdown_timeout;
            tasks.spawn(async move {
                let Some(topic) = topic_or_stop(&queue.engine, &runner, signals.stopped.clone()).await else {
                    return WorkerReport::default();
                };
                let mut partitions = JoinSet::new();
                for partition in share.of(topic.partitions) {
                    let partition = Partition::new(queue.engine.clone(), runner.clone(), partition);
                    partitions.spawn(partition.serve(signals.clone(), timeout));
                }
                joined(partitions).await
            });
        }
        let queues = self.subscriptions.iter().map(|runner| runner.event_type.clone()).collect();
        let janitor = janitor::run(self.queue.clone(), queues, stopped.clone());
        tasks.spawn(janitor.map(|()| WorkerReport::default()));
        let watch_flag = async {
            loop {
                activate.send_if_modified(|active| std::mem::replace(active, self.is_active()) != *active);
                tokio::time::sleep(ACTIVE_CHECK).await;
            }
        };
        tokio::select! {
            () = shutdown => {}
            () = watch_flag, if self.active.is_some() => {}
        }
        // Receivers are gone only when their tasks have ended already.
        let _ = stop.send(true);
        joined(tasks).await
    }

    /// Handles everything that is due, and what becomes due by that, and returns when nothing is. For programs that are
    /// started now and then, and for tests. It does not look at the flag of [`WorkerBuilder::active_while`].
    ///
    /// # Errors
    /// Those of the engine; unlike [`run`](Worker::run), this does not wait for a failing engine.
    pub async fn drain(&self) -> Result<WorkerReport> {
        let mut total = WorkerReport::default();
        loop {
            let mut tasks = JoinSet::new();
            for runner in &self.subscriptions {
                let topic = Topic::ensure(&self.queue.engine, &runner.event_type, runner.new_topic_partitions).await?;
                for partition in self.partitions.of(topic.partitions) {
                    let partition = Partition::new(self.queue.engine.clone(), runner.clone(), partition);
                    tasks.spawn(partition.drain());
                }
            }
            let mut pass = WorkerReport::default();
            while let Some(ended) = tasks.join_next().await {
                pass += resumed(ended)?;
            }
            total += pass;
            if pass == WorkerReport::default() {
                return Ok(total);
            }
        }
    }

    fn is_active(&self) -> bool {
        self.active.as_ref().is_none_or(|flag| flag.load(Ordering::Relaxed))
    }
}

/// The topic, or `None` if the worker was stopped before the engine could be reached.
async fn topic_or_stop<E: TitoEngine>(
    engine: &E,
    runner: &Runner<E>,
    mut stopped: watch::Receiver<bool>,
) -> Option<Arc<Topic>> {
    let mut pause = FIRST_ERROR_PAUSE;
    loop {
        let topic = tokio::select! {
            topic = Topic::ensure(engine, &runner.event_type, runner.new_topic_partitions) => topic,
            _ = stopped.wait_for(|stopped| *stopped) => return None,
        };
        match topic {
            Ok(topic) => return Some(topic),
            Err(error) => tracing::warn!(topic = %runner.event_type, %error, "the topic can't be read, trying again"),
        }
        tokio::select! {
            () = tokio::time::sleep(pause) => pause = (pause * 2).min(LONGEST_ERROR_PAUSE),
            _ = stopped.wait_for(|stopped| *stopped) => return None,
        }
    }
}

async fn joined(mut tasks: JoinSet<WorkerReport>) -> WorkerReport {
    let mut total = WorkerReport::default();
    while let Some(ended) = tasks.join_next().await {
        total += resumed(ended);
    }
    total
}

/// Handlers run in tasks of their own whose panics are caught; one here is a bug, to be seen and not swallowed.
fn resumed<T>(ended: Result<T, tokio::task::JoinError>) -> T {
    match ended {
        Ok(value) => value,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}
