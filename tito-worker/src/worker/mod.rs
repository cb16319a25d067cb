//! Workers: they read due events of their partitions, hand them to handlers and record the outcomes.
//!
//! | file | idea |
//! |---|---|
//! | `builder` | how a worker is configured |
//! | `supervisor` | one subscription: its topic, and which partitions are served |
//! | `drain` | a pass over everything due, without waiting for more |
//! | `quiet` | partitions where nothing has come for long, checked together |
//! | `rounds` | recurring work for all subscriptions together |
//! | `partition` | the loop of one partition |
//! | `cursor` | when to read which part of the partition |
//! | `loaded` | the events that are in memory |
//! | `blocked` | entities whose first event waits for its next attempt, under strict order |
//! | `waited` | what is already waiting when the engine's time is set back |
//! | `time_set` | who notices that |
//! | `lanes` | order within an entity, concurrency across entities |
//! | `source`, `pace` | how a subscription reads, and how much it handles at once |
//! | `runner` | what a subscription is, and what is handed to its handler |
//! | `attempt`, `transactional` | one run of a handler |
//! | `turns` | whose turn it is among events handled together |
//! | `deaths` | events that kill their process |
//! | `decide` | what becomes of an event |
//! | `record` | writes that along with the acknowledgement |
//! | `feed` | events from outside the queue |
//! | `low_watermark` | where scans of a partition may begin |
//! | `fence` | what an acknowledgement checks: the topic, and who owns the partition |
//! | `operating` | an operation run by a program that does nothing else |
//! | `report`, `error` | what a worker did, and why it ended |

mod attempt;
mod blocked;
mod builder;
mod cursor;
mod deaths;
mod decide;
mod drain;
mod error;
mod feed;
mod fence;
mod lanes;
mod loaded;
mod low_watermark;
mod operating;
mod pace;
mod partition;
mod quiet;
mod record;
mod report;
mod rounds;
mod runner;
mod source;
mod supervisor;
mod time_set;
mod transactional;
mod turns;
mod waited;

use std::collections::BTreeSet;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::FutureExt;
use tito_core::event::check_queue_name;
use tito_core::{Result, check_name};
use tokio::sync::watch;
use tokio::task::JoinSet;

use self::deaths::Hands;
use self::rounds::Rounds;
use self::runner::Runner;
use self::supervisor::{Ownership, Supervisor};
use crate::error::QueueError;
use crate::facts::{count_backlogs, keep_gauges};
use crate::janitor;
use crate::membership::{Membership, MembershipOptions};
use crate::operation::{self, OperationTypes};
use crate::partitions::PartitionConfig;
use crate::queue::TitoQueue;
use crate::registration::{About, host_name};
use crate::schedule;

pub use self::builder::WorkerBuilder;
pub(crate) use self::deaths::live_marks;
pub use self::error::WorkerError;
pub use self::feed::{
    Fed, Feed, FeedChecked, FeedControls, FeedEnded, FeedRecorded, FeedRun, FeedWatched, HandlerResult, Permit, Started,
};
pub use self::report::WorkerReport;

/// How often the flag of [`WorkerBuilder::active_while`] is checked.
const ACTIVE_CHECK: Duration = Duration::from_millis(50);

/// The pauses between attempts to reach a failing engine.
const FIRST_ERROR_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_ERROR_PAUSE: Duration = Duration::from_secs(5);

/// Consumes topics: all partitions of its share, each in its own task.
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
pub struct Worker {
    queue: TitoQueue,
    partitions: PartitionConfig,
    active: Option<Arc<AtomicBool>>,
    shutdown_timeout: Duration,
    subscriptions: Vec<Arc<Runner>>,
    schedules: bool,
    /// What it can do in operations that need its application.
    registered: OperationTypes,
    /// The fleet that it joins, and how.
    fleet: Option<(String, MembershipOptions)>,
    /// What it says about itself.
    about: About,
    /// How often it sets the gauges of its queues.
    gauges: Option<Duration>,
    /// Whether dropping its run counts as the death of its process.
    dies_when_dropped: bool,
}

impl Worker {
    /// A worker of all partitions, without subscriptions yet.
    pub fn builder(queue: TitoQueue) -> WorkerBuilder {
        WorkerBuilder::new(queue)
    }

    /// Checks the worker's configuration: the names of its queues and its fleet are valid, and it subscribes to each
    /// queue only once. [`run`](Worker::run) and [`drain`](Worker::drain) check this first.
    ///
    /// # Errors
    /// [`TitoError::InvalidName`](tito_core::TitoError::InvalidName), [`QueueError::SubscribedTwice`].
    pub fn check(&self) -> Result<(), QueueError> {
        if let Some((fleet, _)) = &self.fleet {
            check_name("fleet", fleet)?;
        }
        let mut queues = BTreeSet::new();
        for runner in &self.subscriptions {
            check_queue_name(&runner.queue)?;
            if !queues.insert(&runner.queue) {
                return Err(QueueError::SubscribedTwice { queue: runner.queue.to_string() });
            }
        }
        Ok(())
    }

    /// Works until `shutdown` completes. Then no more events are handed out, running handlers get the shutdown timeout
    /// to end, and their outcomes are recorded. Until then, engine errors are logged and retried.
    ///
    /// It also ends, as if `shutdown` had completed, once an operator has told it to leave ([`TitoQueue::retire`]); the
    /// report says so.
    ///
    /// And it ends once the engine is closed, by its owner or because its storage failed. Running handlers get the same
    /// time to end, but their outcomes can no longer be recorded.
    ///
    /// # Errors
    /// The error's source is [`TitoError::EngineClosed`](tito_core::TitoError::EngineClosed) or, immediately, what
    /// [`check`](Worker::check) finds. It also contains the report of what was done until then, and is logged.
    pub async fn run(&self, shutdown: impl Future<Output = ()> + Send) -> Result<WorkerReport, WorkerError> {
        if let Err(source) = self.check() {
            tracing::error!(error = %source, "the worker does not run");
            return Err(WorkerError { report: WorkerReport::default(), source });
        }
        self.log_start();
        let (stop, stopped) = watch::channel(false);
        let (activate, active) = watch::channel(self.is_active());
        let (note_time, time_set) = watch::channel(None);
        let hands = Hands::new(&self.queue.engine, &self.subscriptions, self.about(), self.dies_when_dropped);
        let _living = hands.live();
        let registration = hands.registration.clone();
        let _registered = registration.register();
        let mut tasks = JoinSet::new();
        let ownership = match &self.fleet {
            None => Ownership::Static(self.partitions),
            Some((fleet, options)) => {
                let queues = self.subscriptions.iter().map(|runner| runner.queue.clone()).collect();
                let (database, options) = (self.queue.engine.clone(), options.clone().with_id(hands.id));
                let membership = Arc::new(Membership::new(database, fleet.clone(), options, queues));
                let (member, stopped) = (membership.clone(), stopped.clone());
                tasks.spawn(async move {
                    member.run(stopped).await;
                    WorkerReport::default()
                });
                Ownership::Fleet(membership)
            }
        };
        for runner in &self.subscriptions {
            let supervisor = Supervisor {
                database: self.queue.engine.clone(),
                runner: runner.clone(),
                ownership: ownership.clone(),
                hands: hands.clone(),
                stopped: stopped.clone(),
                active: active.clone(),
                time_set: time_set.clone(),
                shutdown_timeout: self.shutdown_timeout,
            };
            tasks.spawn(supervisor.run());
        }
        let operations = operation::run(self.queue.clone(), self.registered.clone(), stopped.clone(), active.clone());
        tasks.spawn(operations.map(|()| WorkerReport::default()));
        if self.schedules {
            let fire = schedule::run(self.queue.clone(), stopped.clone(), active.clone());
            tasks.spawn(fire.map(|()| WorkerReport::default()));
        }
        let queues = self.subscriptions.iter().map(|runner| runner.queue.clone()).collect();
        let janitor = janitor::run(self.queue.clone(), queues, stopped.clone());
        tasks.spawn(janitor.map(|()| WorkerReport::default()));
        let watch_flag = async {
            loop {
                activate.send_if_modified(|active| std::mem::replace(active, self.is_active()) != *active);
                tokio::time::sleep(ACTIVE_CHECK).await;
            }
        };
        let membership = match &ownership {
            Ownership::Static(_) => None,
            Ownership::Fleet(membership) => Some(membership.clone()),
        };
        let rounds = Rounds::new(&self.queue.engine, &self.subscriptions, membership);
        let served = self.subscriptions.iter().map(|runner| runner.queue.clone()).collect();
        let gauges = async {
            match self.gauges {
                Some(every) => keep_gauges(&self.queue, served, every).await,
                None => std::future::pending().await,
            }
        };
        let served = self.subscriptions.iter().map(|runner| runner.queue.to_string()).collect();
        let is_owned = |queue: &str, partition: u16| match &ownership {
            Ownership::Static(share) => share.has(partition),
            Ownership::Fleet(membership) => membership.owns(queue, partition),
        };
        let backlogs = count_backlogs(&self.queue.engine, &served, is_owned);
        let watch_time = time_set::watch(&self.queue.engine, note_time);
        let closed = tokio::select! {
            () = shutdown => None,
            () = watch_time => None,
            () = rounds.run() => None,
            () = hands.look_after() => None,
            () = registration.look_after() => None,
            () = gauges => None,
            () = backlogs => None,
            () = registration.retired() => None,
            () = watch_flag, if self.active.is_some() => None,
            closed = self.queue.engine.closed() => Some(closed),
        };
        // It fails only if all tasks have already ended.
        let _ = stop.send(true);
        let (mut report, ()) = tokio::join!(joined(tasks), hands.stop());
        report.retired = registration.is_retired();
        tokio::join!(hands.end(), registration.end());
        report.log();
        match closed {
            None => Ok(report),
            Some(source) => {
                tracing::error!(error = %source, "the worker has ended though it was not stopped");
                Err(WorkerError { report, source: source.into() })
            }
        }
    }

    /// What its run says about itself.
    fn about(&self) -> About {
        let fleet = self.fleet.as_ref().map(|(fleet, _)| fleet.clone());
        let share = fleet.is_none().then_some(self.partitions);
        let host = self.about.host.clone().or_else(host_name);
        About { host, process_id: Some(std::process::id()), fleet, share, ..self.about.clone() }
    }

    fn log_start(&self) {
        let queues: Vec<&str> = self.subscriptions.iter().map(|runner| &*runner.queue).collect();
        match &self.fleet {
            None => tracing::info!(
                ?queues, partitions = ?self.partitions, schedules = self.schedules, "the worker begins"
            ),
            Some((fleet, _)) => tracing::info!(?queues, fleet, schedules = self.schedules, "the worker begins"),
        }
    }

    fn is_active(&self) -> bool {
        self.active.as_ref().is_none_or(|flag| flag.load(Ordering::Relaxed))
    }
}

async fn joined(mut tasks: JoinSet<WorkerReport>) -> WorkerReport {
    let mut total = WorkerReport::default();
    while let Some(ended) = tasks.join_next().await {
        total += resumed(ended);
    }
    total
}

/// Handlers run in tasks of their own, which catch their panics. A panic here is a bug, to be seen and not swallowed.
fn resumed<T>(ended: Result<T, tokio::task::JoinError>) -> T {
    match ended {
        Ok(value) => value,
        Err(error) => {
            tracing::error!("a task of the worker has panicked, which ends the worker");
            std::panic::resume_unwind(error.into_panic())
        }
    }
}
