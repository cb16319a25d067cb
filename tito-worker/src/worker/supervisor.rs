//! One subscription at work: follows its topic, and keeps a task for each of this worker's partitions.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::future::{BoxFuture, OptionFuture};
use tito_core::engine::Listener;
use tito_core::event::{Topic, topic_channel, topic_of};
use tito_core::{Database, Result, Timestamp, TitoError};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::deaths::Hands;
use super::feed::{Fed, FeedControls, PARTITION};
use super::partition::{Controls, Partition};
use super::report::WorkerReport;
use super::rounds::TOPIC_EVERY;
use super::runner::Runner;
use super::{FIRST_ERROR_PAUSE, LONGEST_ERROR_PAUSE, resumed};
use crate::error::QueueError;
use crate::membership::{Lease, Membership, Owned};
use crate::moved::begin_noting;
use crate::partitions::PartitionConfig;
use crate::topics::{end_pause, pause_ends, unknown_topic};

/// How a worker gets its partitions.
pub(super) enum Ownership {
    /// A given share.
    Static(PartitionConfig),
    /// What its fleet assigns to it.
    Fleet(Arc<Membership>),
}

impl Clone for Ownership {
    fn clone(&self) -> Self {
        match self {
            Self::Static(share) => Self::Static(*share),
            Self::Fleet(membership) => Self::Fleet(membership.clone()),
        }
    }
}

pub(super) struct Supervisor {
    pub(super) database: Database,
    pub(super) runner: Arc<Runner>,
    pub(super) ownership: Ownership,
    pub(super) hands: Arc<Hands>,
    pub(super) stopped: watch::Receiver<bool>,
    pub(super) active: watch::Receiver<bool>,
    /// When the engine's time was set, as reported by [`time_set`](super::time_set).
    pub(super) time_set: watch::Receiver<Option<Timestamp>>,
    pub(super) shutdown_timeout: Duration,
}

/// A partition that is being served.
struct Served {
    lease: Option<Lease>,
    stop: watch::Sender<bool>,
}

/// A partition that has ended.
struct EndedPartition {
    partition: u16,
    report: WorkerReport,
}

impl Supervisor {
    /// Works until it is stopped.
    pub(super) async fn run(self) -> WorkerReport {
        let mut total = WorkerReport::default();
        let mut stopped = self.stopped.clone();
        // From before the first look, so that no change is missed in between.
        let changes = self.database.shared().listen(&topic_channel(topic_of(&self.runner.queue).0), 0);
        let Some(topic) = self.first_topic(&changes).await else { return total };
        warn_of_no_events(&self.runner.queue, &topic);
        let (publish_topic, topic) = watch::channel(topic);
        let mut owned = match &self.ownership {
            Ownership::Static(_) => None,
            Ownership::Fleet(membership) => Some(membership.owned()),
        };
        let mut served: BTreeMap<u16, Served> = BTreeMap::new();
        let mut tasks: JoinSet<EndedPartition> = JoinSet::new();
        // Alongside everything else: an unresponsive engine must not keep the worker from ending.
        let mut refresh = Box::pin(self.refresh(&publish_topic, &changes, None));
        while !*stopped.borrow() {
            let wanted = self.wanted(&topic.borrow(), owned.as_mut());
            self.runner.go_by_limits(&topic.borrow(), wanted.keys().copied());
            // One whose lease was renewed under another epoch is stopped too, and restarted when it has ended.
            for (partition, served) in &served {
                if wanted.get(partition) != Some(&served.lease) {
                    let _ = served.stop.send(true);
                }
            }
            for (partition, lease) in wanted {
                if !served.contains_key(&partition) && !self.begin(partition, lease.as_ref()) {
                    continue;
                }
                served.entry(partition).or_insert_with(|| {
                    let (stop, stopped) = watch::channel(false);
                    let (active, time_set) = (self.active.clone(), self.time_set.clone());
                    let controls = Controls { stopped, active, topic: topic.clone(), time_set };
                    let now = topic.borrow().clone();
                    let one = Partition::new(
                        self.database.clone(),
                        self.runner.clone(),
                        partition,
                        now,
                        lease.clone(),
                        Some(self.hands.clone()),
                    );
                    let timeout = self.shutdown_timeout;
                    let fed = self.feed(partition, lease.as_ref(), &controls);
                    tasks.spawn(async move {
                        let (mut report, fed) = tokio::join!(one.serve(controls, timeout), OptionFuture::from(fed));
                        // It logs its errors itself.
                        report += fed.and_then(Result::ok).unwrap_or_default();
                        EndedPartition { partition, report }
                    });
                    Served { lease, stop }
                });
            }
            tokio::select! {
                _ = stopped.changed() => {}
                () = changed(owned.as_mut()) => {}
                () = &mut refresh => {
                    refresh.set(self.refresh(&publish_topic, &changes, Some(Instant::now())));
                }
                Some(ended) = tasks.join_next() => {
                    let ended = resumed(ended);
                    served.remove(&ended.partition);
                    total += self.take_ended(ended).await;
                }
            }
        }
        drop(refresh);
        for served in served.values() {
            let _ = served.stop.send(true);
        }
        while let Some(ended) = tasks.join_next().await {
            total += self.take_ended(resumed(ended)).await;
        }
        self.runner.failures.close(&self.runner.queue);
        total
    }

    /// What works alongside a partition.
    fn feed(
        &self,
        partition: u16,
        lease: Option<&Lease>,
        controls: &Controls,
    ) -> Option<BoxFuture<'static, Result<WorkerReport>>> {
        let feed = self.runner.feed.clone().filter(|_| partition == PARTITION)?;
        let topic = controls.topic.borrow().clone();
        let fed = Fed::new(self.runner.clone(), lease.cloned(), Some(self.hands.clone()));
        let controls = FeedControls::new(Some(controls.clone()), topic, &self.runner, self.shutdown_timeout);
        Some(feed.run(fed, controls))
    }

    /// Whether a partition may be served now.
    fn begin(&self, partition: u16, lease: Option<&Lease>) -> bool {
        match (&self.ownership, lease) {
            (Ownership::Fleet(membership), Some(lease)) => membership.begin(&self.runner.queue, partition, lease),
            _ => true,
        }
    }

    /// The partitions to serve, with their leases.
    fn wanted(&self, topic: &Topic, owned: Option<&mut watch::Receiver<Arc<Owned>>>) -> BTreeMap<u16, Option<Lease>> {
        match (&self.ownership, owned) {
            (Ownership::Static(share), _) => {
                share.of(topic.served_partitions()).map(|partition| (partition, None)).collect()
            }
            (Ownership::Fleet(_), None) => BTreeMap::new(),
            (Ownership::Fleet(_), Some(owned)) => {
                let owned = owned.borrow_and_update();
                let leases = owned.get(&self.runner.queue).into_iter().flatten();
                leases.map(|(partition, lease)| (*partition, Some(lease.clone()))).collect()
            }
        }
    }

    async fn take_ended(&self, ended: EndedPartition) -> WorkerReport {
        if let Ownership::Fleet(membership) = &self.ownership {
            membership.release(&self.runner.queue, ended.partition).await;
        }
        ended.report
    }

    /// Reads the topic again when it may have changed.
    async fn refresh(&self, publish: &watch::Sender<Arc<Topic>>, changes: &Listener, last: Option<Instant>) {
        let told = async {
            changes.woken().await;
            // If it changes repeatedly, all partitions would be reread from the beginning repeatedly.
            if let Some(last) = last {
                tokio::time::sleep_until(last + TOPIC_EVERY).await;
            }
        };
        let topic = publish.borrow().clone();
        tokio::select! {
            () = self.runner.source.outdated.notified() => {}
            () = told => {}
            () = self.end_pause(pause_ends(&topic, &self.runner.queue)) => {}
        }
        loop {
            match read_topic(&self.database, &self.runner).await {
                // Topics are not deleted.
                Ok(None) => return,
                Ok(Some(topic)) => {
                    self.runner.source.note_revision(topic.revision);
                    publish.send_if_modified(|known| {
                        let is_new = topic.revision > known.revision;
                        if is_new {
                            if known.is_published_to(&self.runner.queue) {
                                warn_of_no_events(&self.runner.queue, &topic);
                            }
                            *known = topic;
                        }
                        is_new
                    });
                    return;
                }
                Err(error) => self.log_unread(&error),
            }
            tokio::time::sleep(TOPIC_EVERY).await;
        }
    }

    /// Resumes the queue at the end of its pause.
    async fn end_pause(&self, until: Option<i64>) {
        let Some(until) = until else { return std::future::pending().await };
        let mut time_set = self.time_set.clone();
        loop {
            let ended = async {
                let now = self.database.now().await?;
                let left = u64::try_from(until).unwrap_or(0).saturating_mul(1_000).saturating_sub(now.millis());
                if left == 0 {
                    end_pause(&self.database, &self.runner.queue).await?;
                }
                Ok::<_, QueueError>(left)
            };
            match ended.await {
                Ok(0) => return,
                Ok(left) => {
                    let clock = self.database.clock();
                    let passes = clock.wait_until_monotonic(clock.monotonic_millis().saturating_add(left));
                    tokio::select! {
                        () = passes => {}
                        Ok(()) = time_set.changed() => {}
                    }
                }
                Err(error) => {
                    tracing::warn!(queue = %self.runner.queue, %error, "a pause that is over could not be ended, trying again");
                    tokio::time::sleep(TOPIC_EVERY).await;
                }
            }
        }
    }

    fn log_unread(&self, error: &TitoError) {
        let message = "the topic can't be read, trying again";
        match error {
            TitoError::Malformed { .. } => self.database.log_damaged(error, message),
            _ => tracing::warn!(queue = %self.runner.queue, %error, "{message}"),
        }
    }

    /// The topic once it exists, or `None` if the worker was stopped before.
    async fn first_topic(&self, changes: &Listener) -> Option<Arc<Topic>> {
        let mut stopped = self.stopped.clone();
        tokio::select! {
            topic = self.wait_for_topic(changes) => Some(topic),
            _ = stopped.wait_for(|stopped| *stopped) => None,
        }
    }

    async fn wait_for_topic(&self, changes: &Listener) -> Arc<Topic> {
        let queue = &*self.runner.queue;
        let (mut pause, mut is_warned) = (FIRST_ERROR_PAUSE, false);
        let look = async |is_warned: &mut bool| {
            let found = read_topic(&self.database, &self.runner).await?;
            if found.is_none() && !std::mem::replace(is_warned, true) {
                warn_of_unknown_topic(&self.database, queue).await?;
            }
            Ok::<_, TitoError>(found)
        };
        loop {
            match look(&mut is_warned).await {
                Ok(Some(topic)) => {
                    self.runner.source.note_revision(topic.revision);
                    return topic;
                }
                Ok(None) => tokio::select! {
                    () = self.runner.source.outdated.notified() => {}
                    _ = changes.woken() => {}
                },
                Err(error) => {
                    self.log_unread(&error);
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(LONGEST_ERROR_PAUSE);
                }
            }
        }
    }
}

/// The topic of a subscription's queue, created if it does not exist and the subscription says so.
pub(super) async fn read_topic(database: &Database, runner: &Runner) -> Result<Option<Arc<Topic>>> {
    let _turn = runner.source.turn().await;
    let name = topic_of(&runner.queue).0;
    let topic = match runner.source.new_topic_partitions {
        Some(partitions) => Some(Topic::ensure(database, name, partitions).await?),
        None => Topic::find(database, name).await?,
    };
    if topic.as_ref().is_some_and(|topic| topic.moves_noted_from.is_none()) {
        begin_noting(database, name).await?;
        return Topic::find(database, name).await;
    }
    Ok(topic)
}

/// Logs that a queue's topic does not exist, and which one may be meant.
pub(super) async fn warn_of_unknown_topic(database: &Database, queue: &str) -> Result<()> {
    let unknown = unknown_topic(database, topic_of(queue).0).await?;
    tracing::warn!(queue, %unknown, "the subscription waits until its topic is created");
    Ok(())
}

/// Logs why nothing is published to a queue: it is a group's and the topic has no such group, or it is the topic's own
/// and the topic has none.
pub(super) fn warn_of_no_events(queue: &str, topic: &Topic) {
    if topic.is_published_to(queue) {
        return;
    }
    match topic_of(queue).1 {
        Some(_) => tracing::warn!(queue, "the topic has no such group, so nothing is handed out until it is added"),
        None => tracing::warn!(
            queue,
            "events of the topic are published to its groups alone: only what is left in its own queue is handed out"
        ),
    }
}

async fn changed(owned: Option<&mut watch::Receiver<Arc<Owned>>>) {
    let Some(owned) = owned else { return std::future::pending().await };
    if owned.changed().await.is_err() {
        // The membership has ended, so nothing can change any more.
        std::future::pending().await
    }
}
