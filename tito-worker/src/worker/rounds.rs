//! A worker's recurring work for all of its subscriptions together, so that an idle one costs nothing.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tito_core::database::{PageSize, Walk};
use tito_core::engine::Signal;
use tito_core::event::{Topic, topic_of};
use tito_core::{Database, Now, Result};
use tokio::time::Instant;

use super::cursor::{SWEEP_EVERY, WINDOW_EVERY, window_seconds};
use super::quiet::QuietQueues;
use super::runner::Runner;
use crate::keys;
use crate::membership::Membership;

/// How often the failures left out of the log, and the events in flight, are reported.
const TELL_EVERY: Duration = Duration::from_secs(1);

/// How often topics are read if other processes may change them, unless there are very many.
pub(super) const TOPIC_EVERY: Duration = Duration::from_secs(1);

/// The same if this process hears of every change not made by hand.
const HEARD_TOPIC_EVERY: Duration = Duration::from_secs(60);

/// The pause after topics were read is this many times as long as that took: reading thousands is work for the cluster,
/// too, even if none has changed.
const PAUSE_OF_TOPICS: u32 = 100;

/// The longest pause between reads of topics that other processes may change.
const LONGEST_TOPIC_PAUSE: Duration = Duration::from_secs(5);

/// How many topics are read in one call.
const TOPICS_AT_ONCE: usize = 500;

/// How long to wait after topics were read that other processes may change, which took so long.
fn pause_after(read: Duration) -> Duration {
    read.saturating_mul(PAUSE_OF_TOPICS).clamp(TOPIC_EVERY, LONGEST_TOPIC_PAUSE)
}

pub(super) struct Rounds<'a> {
    database: &'a Database,
    by_queue: HashMap<&'a str, &'a Runner>,
    membership: Option<Arc<Membership>>,
}

impl<'a> Rounds<'a> {
    pub(super) fn new(database: &'a Database, runners: &'a [Arc<Runner>], membership: Option<Arc<Membership>>) -> Self {
        let by_queue = runners.iter().map(|runner| (&*runner.queue, &**runner)).collect();
        Self { database, by_queue, membership }
    }

    /// Never ends.
    pub(super) async fn run(&self) {
        let quiet = QuietQueues::new(self.database, self.by_queue.values().copied());
        tokio::join!(self.tell(), self.look_at_topics(), self.look_at_events(), quiet.look_after());
    }

    async fn tell(&self) {
        loop {
            tokio::time::sleep(TELL_EVERY).await;
            let monotonic_millis = self.database.clock().monotonic_millis();
            for (queue, runner) in &self.by_queue {
                runner.failures.summarize(queue, monotonic_millis);
                if let Some(membership) = &self.membership {
                    membership.set_in_flight(queue, runner.in_flight.load(Ordering::Relaxed));
                }
            }
        }
    }

    /// Notifies the subscriptions of topics that others have created or changed.
    async fn look_at_topics(&self) {
        let hears = self.database.is_only_writer();
        let mut pause = if hears { HEARD_TOPIC_EVERY } else { TOPIC_EVERY };
        let mut topics: Vec<_> = self.by_queue.values().copied().map(|runner| (runner, Vec::new())).collect();
        loop {
            tokio::time::sleep(pause).await;
            let began = Instant::now();
            for topics in topics.chunks_mut(TOPICS_AT_ONCE) {
                if let Err(error) = self.compare_topics(topics).await {
                    tracing::warn!(%error, "topics could not be read, trying again");
                }
            }
            if !hears {
                pause = pause_after(began.elapsed());
            }
        }
    }

    /// Each with the row that its subscription last followed: hardly any has changed and must be decoded.
    async fn compare_topics(&self, topics: &mut [(&Runner, Vec<u8>)]) -> Result<()> {
        let keys: Vec<_> = topics.iter().map(|(runner, _)| keys::topic(topic_of(&runner.queue).0)).collect();
        let tx = self.database.begin().await?;
        let stored = tx.batch_get(keys.clone()).await;
        tx.rollback().await;
        for (((runner, known), key), stored) in topics.iter_mut().zip(keys).zip(stored?) {
            let Some(stored) = stored.filter(|stored| stored != known) else { continue };
            // The subscription reports what can't be read.
            let revision = Topic::decode(&key, &stored).map(|topic| topic.revision);
            if revision.is_ok_and(|revision| runner.source.is_known(revision)) {
                *known = stored;
                continue;
            }
            runner.source.outdated.notify_one();
        }
        Ok(())
    }

    /// Has all partitions that hold events reread now and then, if the engine reports every commit: this finds what it
    /// did not report. Otherwise, each partition looks by itself, and more often, until it is [quiet](super::quiet).
    async fn look_at_events(&self) {
        if !self.database.is_only_writer() {
            return std::future::pending().await;
        }
        let clock = self.database.clock();
        let mut next_sweep = clock.monotonic_millis().saturating_add(SWEEP_EVERY);
        let mut before = None;
        loop {
            let began = clock.monotonic_millis();
            clock.wait_until_monotonic(began.saturating_add(WINDOW_EVERY)).await;
            let is_sweep = clock.monotonic_millis() >= next_sweep;
            // The first look does not know how long ago commits could have landed.
            let since = before.filter(|_| !is_sweep);
            match self.database.now().await {
                Ok(now) => match self.wake_partitions(since).await {
                    Ok(()) => {
                        before = Some(now);
                        if is_sweep {
                            next_sweep = clock.monotonic_millis().saturating_add(SWEEP_EVERY);
                        }
                    }
                    Err(error) => {
                        tracing::warn!(%error, "it could not be found out which partitions hold events, trying again")
                    }
                },
                Err(error) => {
                    tracing::warn!(%error, "it could not be found out which partitions hold events, trying again")
                }
            }
        }
    }

    /// Has the partitions of this worker that hold events reread: what could have been committed since a look at
    /// `before`, or everything. Costs a scan of one row for each partition that holds events.
    async fn wake_partitions(&self, before: Option<Now>) -> Result<()> {
        let window = window_seconds(Duration::from_millis(self.database.max_transaction_age_millis()));
        let mut walk = Walk::over(keys::events()).in_pages(PageSize::entries(1));
        let mut found = Vec::new();
        while let Some((page, now)) = walk.next(self.database).await? {
            let Some((key, _)) = page.into_iter().next() else { break };
            let Some((queue, partition)) = keys::parse_event(&key).map(|event| (event.queue, event.partition)) else {
                continue;
            };
            let Some(runner) = self.by_queue.get(&*queue) else {
                if let Some(end) = keys::events_of_queue(&queue).end {
                    walk.skip_to(end);
                }
                continue;
            };
            if let Some(end) = keys::events_of_partition(&queue, partition).end {
                walk.skip_to(end);
            }
            let first = before.map(|before| {
                // The earlier one, if time was set back.
                let since = before.seconds().min(now.seconds());
                let second = since.saturating_sub(runner.policy.delay_seconds).saturating_sub(window);
                keys::events_from_second(&queue, partition, second.max(0))
            });
            let payload = first.map_or_else(|| key.clone(), |first| first.max(key.clone()));
            found.push(Signal { channel: runner.queue.clone(), number: partition, payload });
        }
        if found.is_empty() {
            return Ok(());
        }
        // Commits deliver signals, even empty ones.
        let tx = self.database.begin().await?;
        found.into_iter().for_each(|signal| tx.signal(signal));
        tx.commit().await.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_more_there_is_to_read_the_less_often_topics_are_read_within_bounds() {
        let millis = |read| pause_after(Duration::from_millis(read)).as_millis();
        assert_eq!([0, 10, 25, 50, 10_000].map(millis), [1_000, 1_000, 2_500, 5_000, 5_000]);
        assert_eq!(pause_after(Duration::MAX), LONGEST_TOPIC_PAUSE);
    }
}
