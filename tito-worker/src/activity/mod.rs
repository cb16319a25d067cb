//! What this process did, by queue and minute.
//!
//! It is counted in memory, for two hours. If other processes write to the database too, a running worker writes each
//! minute in which something happened into a row once it is over; without a worker, a task writes what was published.
//!
//! | file | idea |
//! |---|---|
//! | this one | what is counted, and which minutes are to be written |
//! | `bucket` | one minute of one queue |
//! | `row` | one minute of a process, as it is stored |
//! | `publisher` | what writes it where no worker runs |

mod bucket;
mod publisher;
mod row;

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use tito_core::Database;
use tito_core::clock::Clock;
use tito_core::event::published_by_minute;
use tokio::task::JoinHandle;
use uuid::Uuid;

pub(crate) use self::bucket::{Bucket, DURATION_BOUNDS};
pub(crate) use self::publisher::{keep_written, put_minutes, write_all};
pub(crate) use self::row::ActivityRow;

use crate::fate::Fate;

/// For how many minutes counts are kept, not counting the current one.
pub(crate) const MINUTES_KEPT: u64 = 120;

/// What one process did in a minute, by queue.
pub(crate) type Minute = BTreeMap<String, Bucket>;

/// The present minute by a clock, counted since the Unix epoch.
pub(crate) fn minute_of(clock: &dyn Clock) -> u64 {
    clock.now_millis() / 60_000
}

/// What this process did.
pub(crate) struct Activities {
    /// What rows know the process by.
    pub(crate) process: Uuid,
    queues: RwLock<HashMap<Arc<str>, Arc<QueueActivity>>>,
    /// The last minute that was written.
    written: Mutex<u64>,
    /// How many workers run in this process, which write them.
    pub(crate) workers: AtomicUsize,
    /// Whether a task writes what is published.
    is_kept: AtomicBool,
    task: Mutex<Option<JoinHandle<()>>>,
}

impl Default for Activities {
    fn default() -> Self {
        let process = uuid::Builder::from_random_bytes(fastrand::u128(..).to_ne_bytes()).into_uuid();
        Self {
            process,
            queues: RwLock::default(),
            written: Mutex::default(),
            workers: AtomicUsize::default(),
            is_kept: AtomicBool::default(),
            task: Mutex::default(),
        }
    }
}

impl Activities {
    /// That of the process that has this handle.
    pub(crate) fn of(database: &Database) -> &Self {
        database.shared().value()
    }

    /// The task that writes what is published.
    fn task(&self) -> MutexGuard<'_, Option<JoinHandle<()>>> {
        self.task.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// That of one queue.
    pub(crate) fn queue(&self, queue: &str, clock: &Arc<dyn Clock>) -> Arc<QueueActivity> {
        let mut queues = self.queues.write().unwrap_or_else(PoisonError::into_inner);
        let new = || Arc::new(QueueActivity { clock: clock.clone(), minutes: Mutex::default() });
        queues.entry(queue.into()).or_insert_with(new).clone()
    }

    /// All that is known of some minutes.
    pub(crate) fn minutes(&self, database: &Database, is_wanted: impl Fn(u64) -> bool) -> BTreeMap<u64, Minute> {
        let mut all: BTreeMap<u64, Minute> = BTreeMap::new();
        for (queue, activity) in self.queues.read().unwrap_or_else(PoisonError::into_inner).iter() {
            for (minute, bucket) in activity.locked().iter().filter(|(minute, _)| is_wanted(**minute)) {
                all.entry(*minute).or_default().insert(queue.to_string(), bucket.clone());
            }
        }
        for (queue, minutes) in published_by_minute(database) {
            for (minute, published) in minutes.into_iter().filter(|(minute, _)| is_wanted(*minute)) {
                all.entry(minute).or_default().entry(queue.to_string()).or_default().published = published;
            }
        }
        all
    }

    /// The minutes that are over and not written yet; with `ends` the present one, too.
    pub(crate) fn unwritten(&self, database: &Database, ends: bool) -> BTreeMap<u64, Minute> {
        let present = minute_of(&**database.clock());
        let written = *self.written.lock().unwrap_or_else(PoisonError::into_inner);
        let oldest = present.saturating_sub(MINUTES_KEPT);
        self.minutes(database, |minute| {
            minute > written && minute >= oldest && (minute < present || (ends && minute == present))
        })
    }

    /// These were written; one that is not over is written again.
    pub(crate) fn note_written(&self, database: &Database, minutes: &BTreeMap<u64, Minute>) {
        let present = minute_of(&**database.clock());
        if let Some(last) = minutes.keys().rfind(|minute| **minute < present) {
            let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
            *written = (*written).max(*last);
        }
    }
}

/// What this process did with one queue, by minute.
#[derive(Debug)]
pub(crate) struct QueueActivity {
    clock: Arc<dyn Clock>,
    minutes: Mutex<BTreeMap<u64, Bucket>>,
}

impl QueueActivity {
    /// What became of some events was recorded.
    pub(crate) fn handled(&self, fate: Fate, events: u64) {
        self.count(|bucket| bucket.handled(fate, events));
    }

    /// A handler ran for so long.
    pub(crate) fn ran(&self, duration: Duration) {
        self.count(|bucket| bucket.ran(duration));
    }

    fn count(&self, count: impl FnOnce(&mut Bucket)) {
        let minute = minute_of(&*self.clock);
        let mut minutes = self.locked();
        count(minutes.entry(minute).or_default());
        while minutes.len() as u64 > MINUTES_KEPT + 1 {
            minutes.pop_first();
        }
    }

    fn locked(&self) -> MutexGuard<'_, BTreeMap<u64, Bucket>> {
        self.minutes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
