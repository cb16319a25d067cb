//! How many events there are.

use std::collections::BTreeMap;
use std::ops::AddAssign;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;
use tito_core::database::Walk;
use tito_core::event::QueueLimits;
use tito_core::{Result, Transaction};

use super::state::{PendingState, read_event};
use crate::error::QueueError;
use crate::keys;
use crate::membership::in_flight;
use crate::place::Kind;
use crate::queue::TitoQueue;
use crate::time::{as_seconds, time_of};

/// How many events of a kind [`TitoQueue::stats`] counts in each partition.
const COUNTED: u64 = 10_000;

/// What is in a queue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct QueueStats {
    /// The queue's name.
    pub queue: String,
    /// When it was counted, to the second. Written as Unix seconds by serde.
    #[serde(serialize_with = "chrono::serde::ts_seconds::serialize")]
    pub counted_at: DateTime<Utc>,
    /// Whether it is paused.
    pub is_paused: bool,
    /// When the pause ends, if it is paused [for a time](TitoQueue::pause_until).
    #[serde(serialize_with = "chrono::serde::ts_seconds_option::serialize")]
    pub paused_until: Option<DateTime<Utc>>,
    /// What an operator [has set](TitoQueue::set_limits) in place of what its subscriptions say.
    pub limits: QueueLimits,
    /// Whether events are published to it: not to a topic's own queue if it [has none](TitoQueue::set_groups_only), nor
    /// to a group that is being removed.
    pub is_published_to: bool,
    /// How many events the queue's fleet had in hand, according to the last heartbeats of its live members. A worker
    /// with a fixed share belongs to no fleet and is not included: see the metric
    /// [`IN_FLIGHT`](crate::observe::metrics::IN_FLIGHT).
    pub in_flight: u64,
    /// All of it together.
    pub total: Counts,
    /// Each partition, in ascending order.
    pub partitions: Vec<PartitionStats>,
}

/// What is in one partition of a queue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PartitionStats {
    /// The partition.
    pub partition: u16,
    /// What is in it.
    #[serde(flatten)]
    pub counts: Counts,
}

/// How many events there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Counts {
    /// Not done: those due, scheduled, retrying and malformed together.
    pub pending: u64,
    /// Due by now, handled at the moment or not.
    pub due: u64,
    /// Waiting for their time.
    pub scheduled: u64,
    /// Waiting for their next attempt, after at least one that failed.
    pub retrying: u64,
    /// Stored bytes that are not an event, and will go to the dead letters.
    pub malformed: u64,
    /// Failed for good.
    pub dead: u64,
    /// Done, and kept as history.
    pub done: u64,
    /// For how long the one has been due that fell due first, in whole seconds; `None` if none is due.
    #[serde(rename = "oldest_due_seconds", serialize_with = "as_seconds")]
    pub oldest_due: Option<Duration>,
    /// Whether there are more than were counted: in each partition pending, dead and done events are each counted up to
    /// a bound.
    pub is_capped: bool,
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.pending += other.pending;
        self.due += other.due;
        self.scheduled += other.scheduled;
        self.retrying += other.retrying;
        self.malformed += other.malformed;
        self.dead += other.dead;
        self.done += other.done;
        self.oldest_due = self.oldest_due.max(other.oldest_due);
        self.is_capped |= other.is_capped;
    }
}

impl Counts {
    fn count_pending(&mut self, key: &[u8], bytes: &[u8], now: i64) {
        self.pending += 1;
        let (state, due) = PendingState::of(key, read_event(key, bytes).as_ref(), now);
        match state {
            PendingState::Due => {
                self.due += 1;
                self.oldest_due = self.oldest_due.max(u64::try_from(now - due).ok().map(Duration::from_secs));
            }
            PendingState::Scheduled => self.scheduled += 1,
            PendingState::Retrying => self.retrying += 1,
            PendingState::Malformed => self.malformed += 1,
        }
    }
}

impl TitoQueue {
    /// Counts what is in a queue, a topic's own, `{type}`, or a group's, `{type}@{group}`: up to 10,000 events of each
    /// kind in each partition, the earliest ones.
    ///
    /// Reads what it counts, in pages, each at its own snapshot: an event that is moved or done meanwhile may be
    /// counted twice or not at all.
    ///
    /// # Errors
    /// [`TitoError::InvalidName`](tito_core::TitoError::InvalidName),
    /// [`QueueError::UnknownTopic`](crate::QueueError::UnknownTopic),
    /// [`QueueError::UnknownGroup`](crate::QueueError::UnknownGroup), and those of the engine.
    pub async fn stats(&self, queue: &str) -> Result<QueueStats, QueueError> {
        self.stats_up_to(queue, COUNTED).await
    }

    /// Like [`stats`](TitoQueue::stats), with another bound on what is counted of a kind in each partition.
    ///
    /// # Errors
    /// Those of [`stats`](TitoQueue::stats).
    pub async fn stats_up_to(&self, queue: &str, limit: u64) -> Result<QueueStats, QueueError> {
        let topic = self.existing(queue).await?;
        let in_flight = self.engine.transaction(|tx: Transaction| async move { in_flight(&tx, queue).await }).await?;
        let counted_at = self.engine.now().await?.seconds();
        let empty = (0..topic.served_partitions()).map(|partition| (partition, Counts::default()));
        let mut partitions: BTreeMap<u16, Counts> = empty.collect();
        for kind in Kind::ALL {
            self.count(queue, kind, limit, &mut partitions).await?;
        }
        let mut total = Counts::default();
        for counts in partitions.values() {
            total += *counts;
        }
        let partitions = partitions.into_iter().map(|(partition, counts)| PartitionStats { partition, counts });
        let counted_at = time_of(counted_at);
        let (is_paused, is_published_to) = (topic.is_paused(queue), topic.is_published_to(queue));
        let (queue, partitions) = (queue.to_string(), partitions.collect());
        let (paused_until, limits) = (topic.paused_until(&queue).map(time_of), topic.limits_of(&queue).cloned());
        let limits = limits.unwrap_or_default();
        Ok(QueueStats {
            queue,
            counted_at,
            is_paused,
            paused_until,
            limits,
            is_published_to,
            in_flight,
            total,
            partitions,
        })
    }

    async fn count(&self, queue: &str, kind: Kind, limit: u64, partitions: &mut BTreeMap<u16, Counts>) -> Result<()> {
        let mut walk = Walk::over(kind.of_queue(queue));
        while let Some((page, now)) = walk.next(&self.engine).await? {
            for (key, value) in &page {
                // Keys outside of every partition are none that Tito writes or reads.
                let Some(partition) = keys::parse_event_partition(key) else { continue };
                let counts = partitions.entry(partition).or_default();
                let counted = match kind {
                    Kind::Pending => counts.pending,
                    Kind::Dead => counts.dead,
                    Kind::Done => counts.done,
                };
                if counted >= limit {
                    counts.is_capped = true;
                    if let Some(end) = kind.of_partition(queue, partition).end {
                        walk.skip_to(end);
                    }
                    continue;
                }
                match kind {
                    Kind::Pending => counts.count_pending(key, value, now.seconds()),
                    Kind::Dead => counts.dead += 1,
                    Kind::Done => counts.done += 1,
                }
            }
        }
        Ok(())
    }
}
