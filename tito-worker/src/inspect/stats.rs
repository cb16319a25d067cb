//! How many events there are.

use std::collections::BTreeMap;
use std::ops::AddAssign;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;
use tito_core::database::{PageSize, Walk};
use tito_core::event::{QueueLimits, Topic};
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

/// How many rows are read at once.
const PAGE: usize = 200;

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
    /// Whether there may be more than were counted: pending, dead and done events are each counted up to a bound.
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
    fn count(&mut self, kind: Kind, key: &[u8], bytes: &[u8], now: i64) {
        match kind {
            Kind::Pending => self.count_pending(key, bytes, now),
            Kind::Dead => self.dead += 1,
            Kind::Done => self.done += 1,
        }
    }

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

/// The partitions that are served, before anything is counted.
fn empty(topic: &Topic) -> BTreeMap<u16, Counts> {
    (0..topic.served_partitions()).map(|partition| (partition, Counts::default())).collect()
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
        let mut partitions = empty(&topic);
        for kind in Kind::ALL {
            self.count(queue, kind, limit, &mut partitions).await?;
        }
        self.with_counts(queue, &topic, partitions).await
    }

    /// As [`stats`](TitoQueue::stats), reading so many rows at the most, or one of each partition that has some of a kind,
    /// whatever there is: half of them at least of what is pending, the rest of dead letters and history, dealt out among
    /// the partitions. Of those that are not reached it is said that there may be more.
    ///
    /// # Errors
    /// As [`stats`](TitoQueue::stats).
    pub async fn stats_of_rows(&self, queue: &str, rows: usize) -> Result<QueueStats, QueueError> {
        let topic = self.existing(queue).await?;
        let mut partitions = empty(&topic);
        let mut left = rows;
        // What these leave is for the last one.
        for (kind, most) in [(Kind::Dead, rows / 4), (Kind::Done, rows / 4), (Kind::Pending, rows)] {
            let most = most.min(left);
            left -= most - self.count_of_rows(queue, kind, most, &mut partitions).await?;
        }
        self.with_counts(queue, &topic, partitions).await
    }

    async fn with_counts(
        &self,
        queue: &str,
        topic: &Topic,
        partitions: BTreeMap<u16, Counts>,
    ) -> Result<QueueStats, QueueError> {
        let in_flight = self.engine.transaction(|tx: Transaction| async move { in_flight(&tx, queue).await }).await?;
        let counted_at = self.engine.now().await?.seconds();
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

    /// Returns how many rows it has not read of those that it might.
    async fn count_of_rows(
        &self,
        queue: &str,
        kind: Kind,
        rows: usize,
        partitions: &mut BTreeMap<u16, Counts>,
    ) -> Result<usize> {
        let (mut walk, mut left) = (Walk::over(kind.of_queue(queue)), rows);
        // The partition that was come to, and how many rows of it were read.
        let (mut reached, mut of_it) = (0, 0);
        while left > 0 {
            let unseen = partitions.range(reached..).count().max(1);
            let share = ((left + of_it) / unseen).max(of_it + 1);
            walk = walk.in_pages(PageSize::entries(share - of_it));
            let Some((page, now)) = walk.next(&self.engine).await? else { return Ok(left) };
            left -= page.len();
            for (key, value) in &page {
                // Keys outside of every partition are none that Tito writes or reads.
                let Some(partition) = keys::parse_event_partition(key) else { continue };
                partitions.entry(partition).or_default().count(kind, key, value, now.seconds());
                of_it = if partition == reached { of_it + 1 } else { 1 };
                reached = partition;
            }
            if of_it >= share && !walk.is_over() {
                partitions.entry(reached).or_default().is_capped = true;
                if let Some(end) = kind.of_partition(queue, reached).end {
                    walk.skip_to(end);
                }
                (reached, of_it) = (reached.saturating_add(1), 0);
            }
        }
        if !walk.is_over() {
            partitions.range_mut(reached..).for_each(|(_, counts)| counts.is_capped = true);
        }
        Ok(0)
    }

    async fn count(&self, queue: &str, kind: Kind, limit: u64, partitions: &mut BTreeMap<u16, Counts>) -> Result<()> {
        // One more tells that there are more.
        let page = usize::try_from(limit.saturating_add(1)).unwrap_or(PAGE).min(PAGE);
        let mut walk = Walk::over(kind.of_queue(queue)).in_pages(PageSize::entries(page));
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
                counts.count(kind, key, value, now.seconds());
            }
        }
        Ok(())
    }
}
