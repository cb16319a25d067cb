//! A pass over everything due, without waiting for more.

use futures::FutureExt;
use futures::future::join_all;
use tito_core::{Result, TitoError};
use tokio::task::JoinSet;

use super::feed::{Fed, FeedControls, PARTITION};
use super::partition::Partition;
use super::supervisor::{read_topic, warn_of_no_events, warn_of_unknown_topic};
use super::{Worker, WorkerReport, resumed};
use crate::error::QueueError;
use crate::schedule;
use crate::topics::{end_pause, pause_ends};

impl Worker {
    /// Publishes the due firings of schedules, handles everything that is due or becomes due in the process, and
    /// returns when nothing is left. For programs that are started now and then, and for tests. It ignores the flag of
    /// [`WorkerBuilder::active_while`](crate::WorkerBuilder::active_while), and joins no fleet: it handles the
    /// partitions of its share, which is all of them unless
    /// [`WorkerBuilder::partitions`](crate::WorkerBuilder::partitions) said otherwise.
    ///
    /// # Errors
    /// Those of [`check`](Worker::check) and of the engine; unlike [`run`](Worker::run), this does not wait for a
    /// failing engine. [`TitoError::Malformed`] for a topic whose row can't be read, with its key, once the other
    /// queues have nothing left that is due. If the engine is closed, it ends at once with the error that says why, and
    /// running handlers are dropped.
    pub async fn drain(&self) -> Result<WorkerReport, QueueError> {
        self.check()?;
        let drained = tokio::select! {
            biased;
            closed = self.queue.engine.closed() => Err(closed),
            drained = self.drain_all() => drained,
        }
        .map_err(QueueError::from);
        self.subscriptions.iter().for_each(|runner| runner.failures.close(&runner.queue));
        drained
    }

    async fn drain_all(&self) -> Result<WorkerReport> {
        let mut total = WorkerReport::default();
        let mut rounds = schedule::Rounds::new(self.queue.clone());
        loop {
            let published = if self.schedules { rounds.round().await?.published } else { 0 };
            let mut tasks = JoinSet::new();
            let database = &self.queue.engine;
            let topics = join_all(self.subscriptions.iter().map(|runner| read_topic(database, runner))).await;
            // Unreadable rows of one queue don't stop the others.
            let mut damaged = None;
            for (runner, topic) in self.subscriptions.iter().zip(topics) {
                let Some(topic) = unless_damaged(topic, &mut damaged)? else { continue };
                let Some(topic) = topic else {
                    warn_of_unknown_topic(database, &runner.queue).await?;
                    continue;
                };
                warn_of_no_events(&runner.queue, &topic);
                let topic = match pause_ends(&topic, &runner.queue) {
                    Some(_) => end_pause(database, &runner.queue).await?,
                    None => topic,
                };
                if topic.is_paused(&runner.queue) {
                    continue;
                }
                runner.go_by_limits(&topic, self.partitions.of(topic.served_partitions()));
                for partition in self.partitions.of(topic.served_partitions()) {
                    if let Some(feed) = runner.feed.clone().filter(|_| partition == PARTITION) {
                        let fed = Fed::new(runner.clone(), None, None);
                        let controls = FeedControls::new(None, topic.clone(), runner, self.shutdown_timeout);
                        tasks.spawn(feed.run(fed, controls).map(|report| report.map(|report| (report, false))));
                    }
                    let partition =
                        Partition::new(database.clone(), runner.clone(), partition, topic.clone(), None, None);
                    tasks.spawn(partition.drain());
                }
            }
            let (mut pass, mut is_outdated) = (WorkerReport::default(), false);
            while let Some(ended) = tasks.join_next().await {
                if let Some((report, is_fenced)) = unless_damaged(resumed(ended), &mut damaged)? {
                    pass += report;
                    is_outdated |= is_fenced;
                }
            }
            let did_nothing = pass == WorkerReport::default();
            total += pass;
            if did_nothing && published == 0 && !is_outdated {
                return damaged.map_or(Ok(total), Err);
            }
        }
    }
}

/// The result of a read; nothing, and the first error, if a stored row was unreadable.
fn unless_damaged<T>(read: Result<T>, damaged: &mut Option<TitoError>) -> Result<Option<T>> {
    match read {
        Ok(value) => Ok(Some(value)),
        Err(error @ TitoError::Malformed { .. }) => {
            damaged.get_or_insert(error);
            Ok(None)
        }
        Err(error) => Err(error),
    }
}
