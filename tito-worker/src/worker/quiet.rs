//! Partitions where nothing has come for long, on engines that don't report every commit. The worker looks for events
//! in all of them together, with a single scan if none has any, instead of one for each every half a second.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tito_core::database::{PageSize, Walk};
use tito_core::engine::Signal;
use tito_core::keys::KeyRange;
use tito_core::{Database, Now, Result};
use tokio::sync::Notify;

use super::runner::Runner;
use crate::keys;

/// How often to look, in milliseconds.
const LOOK_EVERY: u64 = 400;

/// The pause after a look is this many times as long as the look took: partitions with events that are not due are
/// skipped one at a time, as are deleted events that TiKV still keeps.
const PAUSE_OF_A_LOOK: u64 = 4;

/// The longest pause, in milliseconds.
const LONGEST_PAUSE: u64 = 15_000;

/// The quiet partitions of a queue.
#[derive(Default)]
pub(super) struct Quiet(Mutex<BTreeSet<u16>>);

impl Quiet {
    fn lock(&self) -> MutexGuard<'_, BTreeSet<u16>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The first one from a number on.
    fn first_from(&self, partition: u16) -> Option<u16> {
        self.lock().range(partition..).next().copied()
    }
}

/// Notified when a partition of this process becomes quiet.
#[derive(Default)]
struct BecameQuiet(Notify);

/// Marks a partition as quiet, until it is dropped.
pub(super) struct IsQuiet {
    runner: Arc<Runner>,
    partition: u16,
}

impl IsQuiet {
    pub(super) fn new(runner: &Arc<Runner>, partition: u16) -> Self {
        runner.source.quiet.lock().insert(partition);
        runner.database.shared().value::<BecameQuiet>().0.notify_waiters();
        Self { runner: runner.clone(), partition }
    }
}

impl Drop for IsQuiet {
    fn drop(&mut self) {
        self.runner.source.quiet.lock().remove(&self.partition);
    }
}

/// Looks for events in the quiet partitions of a worker.
pub(super) struct QuietQueues<'a> {
    database: &'a Database,
    /// By the prefix of their events' keys.
    queues: Vec<(Vec<u8>, &'a Runner)>,
}

/// A queue's index, and one of its partitions.
type Place = (usize, u16);

impl<'a> QuietQueues<'a> {
    pub(super) fn new(database: &'a Database, runners: impl Iterator<Item = &'a Runner>) -> Self {
        let mut queues: Vec<_> = runners.map(|runner| (keys::events_of_queue(&runner.queue).start, runner)).collect();
        queues.sort_unstable_by(|(left, _), (right, _)| left.cmp(right));
        Self { database, queues }
    }

    /// Never ends.
    pub(super) async fn look_after(&self) {
        if self.database.is_only_writer() {
            return std::future::pending().await;
        }
        let (clock, became_quiet) = (self.database.clock(), self.database.shared().value::<BecameQuiet>());
        let mut pause = LOOK_EVERY;
        loop {
            let one_is_quiet = became_quiet.0.notified();
            if self.first_from((0, 0)).is_none() {
                one_is_quiet.await;
                continue;
            }
            let began = clock.monotonic_millis();
            clock.wait_until_monotonic(began.saturating_add(pause)).await;
            let began = clock.monotonic_millis();
            if let Err(error) = self.look().await {
                tracing::warn!(%error, "it can't be seen which partitions hold events, trying again");
            }
            let took = clock.monotonic_millis().saturating_sub(began);
            pause = took.saturating_mul(PAUSE_OF_A_LOOK).clamp(LOOK_EVERY, LONGEST_PAUSE);
        }
    }

    /// Wakes each quiet partition that has a due event.
    async fn look(&self) -> Result<()> {
        let Some(mut next) = self.first_from((0, 0)) else { return Ok(()) };
        let mut walk = Walk::over(KeyRange { start: self.start_of(next), ..keys::events() });
        walk = walk.in_pages(PageSize::entries(1));
        let mut found = Vec::new();
        while let Some((page, now)) = walk.next(self.database).await? {
            let Some((key, _)) = page.into_iter().next() else { break };
            let place = self.place_of(&key);
            if let Ok((queue, partition)) = place
                && self.queues[queue].1.source.quiet.first_from(partition) == Some(partition)
                && is_due(&key, self.queues[queue].1, now)
            {
                found.push(Signal { channel: self.queues[queue].1.queue.clone(), number: partition, payload: key });
            }
            let after = match place {
                Ok((queue, partition)) => partition.checked_add(1).map_or((queue + 1, 0), |next| (queue, next)),
                Err(queue) => (queue, 0),
            };
            match self.first_from(after.max(next)) {
                Some(place) => next = place,
                None => break,
            }
            walk.skip_to(self.start_of(next));
        }
        found.into_iter().for_each(|signal| self.database.shared().signal(signal));
        Ok(())
    }

    fn start_of(&self, (queue, partition): Place) -> Vec<u8> {
        keys::events_of_partition(&self.queues[queue].1.queue, partition).start
    }

    /// The first quiet partition from a place on.
    fn first_from(&self, (queue, partition): Place) -> Option<Place> {
        let first = |(at, (_, runner)): (usize, &(Vec<u8>, &Runner))| {
            let from = if at == queue { partition } else { 0 };
            runner.source.quiet.first_from(from).map(|partition| (at, partition))
        };
        self.queues.iter().enumerate().skip(queue).find_map(first)
    }

    /// The place of a key in these queues; otherwise the index of the first queue after it.
    fn place_of(&self, key: &[u8]) -> std::result::Result<Place, usize> {
        let behind = self.queues.partition_point(|(start, _)| start.as_slice() <= key);
        let queue = behind.checked_sub(1).filter(|queue| key.starts_with(&self.queues[*queue].0));
        queue.zip(keys::parse_event_partition(key)).ok_or(behind)
    }
}

/// Whether there is something to do for a key. If it is not an event's, the partition finds out.
fn is_due(key: &[u8], runner: &Runner, now: Now) -> bool {
    let present = now.seconds().saturating_sub(runner.policy.delay_seconds);
    keys::parse_event_second(key).is_none_or(|second| second <= present)
}
