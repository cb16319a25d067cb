//! How much of a queue is due.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;
use tito_core::{Now, Result};

use super::counting::{Counted, First, count_all, count_partition, firsts};
use super::owners::{Owned, note_look, owned_backlogs};
use super::wanted::Wanted;
use crate::error::QueueError;
use crate::keys;
use crate::queue::TitoQueue;
use crate::time::{as_seconds, time_of};

/// A queue with fewer events is counted where it is asked for, and is known from then on.
const FEW: usize = 200;

/// Of how many partitions that hold events it is seen what is due where a queue is not known.
const MOST_PARTITIONS: usize = 100;

/// How many rows of a queue are counted that is not known.
const MOST_COUNTED: usize = 200;

/// How long a count is good enough, in milliseconds of the monotonic clock.
const FRESH_MILLIS: u64 = 5_000;

/// The events of a queue that are due and not done, including those being handled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Backlog {
    /// How many there are.
    pub count: u64,
    /// Whether there may be more than were counted.
    pub at_least: bool,
    /// How long the oldest due event has been due, in whole seconds; `None` if none is due.
    #[serde(rename = "oldest_due_seconds", serialize_with = "as_seconds")]
    pub oldest_due: Option<Duration>,
    /// When it was counted, to the second; the earliest part of it, where parts of it were at several times. Written as
    /// Unix seconds by serde.
    #[serde(serialize_with = "chrono::serde::ts_seconds::serialize")]
    pub as_of: DateTime<Utc>,
    /// Whether the owners of its partitions have counted it, where several processes write.
    pub by_owners: bool,
}

impl Backlog {
    pub(super) fn new(counted: Counted, now: Now, as_of: i64) -> Self {
        let age = counted.oldest.and_then(|oldest| u64::try_from(now.seconds().saturating_sub(oldest)).ok());
        let Counted { count, at_least, .. } = counted;
        Self { count, at_least, oldest_due: age.map(Duration::from_secs), as_of: time_of(as_of), by_owners: false }
    }
}

/// What was counted lately in this process, with the moment of the monotonic clock. Held while one counts, so that those
/// who ask meanwhile count nothing.
#[derive(Default)]
struct Lately(tokio::sync::Mutex<HashMap<String, (u64, Backlog)>>);

impl TitoQueue {
    /// How many events of a queue are due, and for how long. Reads at most 600 rows, however many there are.
    ///
    /// Where this process alone writes to the database the number is exact and costs nothing, once the events of the queue
    /// were counted: the first time that somebody asks, at once if there are fewer than 200, else by a worker that runs in
    /// this process, which takes some seconds for a million. From then on commits keep it.
    ///
    /// Where others write too, the owners of the partitions count while somebody asks, every 5 s and up to 10,000 in each
    /// partition, and leave a row that says what they have found and when. [`as_of`](Backlog::as_of) is the earliest of
    /// these.
    ///
    /// Until then, and without a worker, 200 rows are counted: [at least](Backlog::at_least) these are due. In
    /// this process that is done once in five seconds at most, however many ask. Nothing is counted while nobody asks.
    ///
    /// # Errors
    /// [`TitoError::InvalidName`](tito_core::TitoError::InvalidName), [`QueueError::UnknownTopic`],
    /// [`QueueError::UnknownGroup`], and those of the engine.
    pub async fn backlog(&self, queue: &str) -> Result<Backlog, QueueError> {
        self.existing(queue).await?;
        let now = self.engine.now().await?;
        if let Some(known) = self.known_backlog(queue, now) {
            return Ok(known);
        }
        let lately = self.engine.shared().value::<Lately>();
        let mut lately = lately.0.lock().await;
        let clock_millis = self.engine.clock().monotonic_millis();
        lately.retain(|_, (at, _)| clock_millis.saturating_sub(*at) < FRESH_MILLIS);
        if let Some((_, backlog)) = lately.get(queue) {
            return Ok(backlog.clone());
        }
        let backlog = self.counted_backlog(queue, now).await?;
        // What commits keep is asked anew each time.
        if self.known_backlog(queue, now).is_none() {
            lately.insert(queue.to_string(), (clock_millis, backlog.clone()));
        }
        Ok(backlog)
    }

    /// What commits have kept. Reads nothing.
    pub(super) fn known_backlog(&self, queue: &str, now: Now) -> Option<Backlog> {
        let is_kept = self.engine.is_only_writer();
        let known = is_kept.then(|| self.engine.pending_tally(queue).up_to(now.seconds())).flatten()?;
        let counted = Counted { count: known.count, at_least: false, oldest: known.smallest };
        Some(Backlog::new(counted, now, now.seconds()))
    }

    pub(super) async fn counted_backlog(&self, queue: &str, now: Now) -> Result<Backlog> {
        if self.engine.is_only_writer() {
            if count_all(&self.engine, queue, FEW).await?
                && let Some(known) = self.known_backlog(queue, now)
            {
                return Ok(known);
            }
            Wanted::of(&self.engine).add(queue, self.engine.clock().monotonic_millis());
        } else {
            note_look(&self.engine, [queue]).await;
        }
        let (firsts, is_all) = firsts(&self.engine, keys::events_of_queue(queue), MOST_PARTITIONS, |_| true).await?;
        let firsts = firsts.get(queue).map_or(&[][..], Vec::as_slice);
        let owned = owned_backlogs(&self.engine, queue, firsts, now).await?;
        self.sum(queue, firsts, owned, now, is_all).await
    }

    /// What is due in these partitions: as their owners have counted, or as far as it is counted here.
    pub(super) async fn sum(
        &self,
        queue: &str,
        firsts: &[First],
        owned: BTreeMap<u16, Owned>,
        now: Now,
        is_all: bool,
    ) -> Result<Backlog> {
        let mut sum = Counted { at_least: !is_all, ..Counted::default() };
        let (mut as_of, mut left) = (now.seconds(), MOST_COUNTED);
        let by_owners = !firsts.is_empty() && firsts.iter().all(|(partition, _)| owned.contains_key(partition));
        for first in firsts {
            let counted = match owned.get(&first.0) {
                Some((counted, at)) => {
                    as_of = as_of.min(*at);
                    *counted
                }
                None => count_partition(&self.engine, queue, *first, now, &mut left).await?,
            };
            sum.add(counted);
        }
        Ok(Backlog { by_owners, ..Backlog::new(sum, now, as_of) })
    }
}
