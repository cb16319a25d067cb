//! How much of a queue is due.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;
use tito_core::database::{PageSize, Walk};
use tito_core::keys::KeyRange;
use tito_core::{Database, Now, Result};

use crate::error::QueueError;
use crate::inspect::due_second;
use crate::keys;
use crate::queue::TitoQueue;
use crate::time::{as_seconds, time_of};

/// How many rows of a queue are looked at.
const MOST_COUNTED: u64 = 10_000;

const PAGE: usize = 1_000;
const PAGE_BYTES: usize = 16 << 20;

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
    /// When it was counted, to the second. Written as Unix seconds by serde.
    #[serde(serialize_with = "chrono::serde::ts_seconds::serialize")]
    pub as_of: DateTime<Utc>,
}

/// What was counted lately in this process, with the moment of the monotonic clock. Held while one counts, so that those
/// who ask meanwhile count nothing.
#[derive(Default)]
struct Counted(tokio::sync::Mutex<HashMap<String, (u64, Backlog)>>);

impl TitoQueue {
    /// How many events of a queue are due, and for how long: exact up to 10,000 rows, beyond that [at
    /// least](Backlog::at_least). This process counts at most once in five seconds, however many callers ask; nothing
    /// is counted while nobody asks.
    ///
    /// Costs one scan of a row for each partition that holds events, and reads what it counts.
    ///
    /// # Errors
    /// [`TitoError::InvalidName`](tito_core::TitoError::InvalidName), [`QueueError::UnknownTopic`],
    /// [`QueueError::UnknownGroup`], and those of the engine.
    pub async fn backlog(&self, queue: &str) -> Result<Backlog, QueueError> {
        self.existing(queue).await?;
        let counted = self.engine.shared().value::<Counted>();
        let mut counted = counted.0.lock().await;
        let clock_millis = self.engine.clock().monotonic_millis();
        counted.retain(|_, (at, _)| clock_millis.saturating_sub(*at) < FRESH_MILLIS);
        if let Some((_, backlog)) = counted.get(queue) {
            return Ok(backlog.clone());
        }
        let now = self.engine.now().await?;
        let firsts = firsts(&self.engine, keys::events_of_queue(queue), |name| name == queue).await?;
        let backlog = count(&self.engine, queue, now, firsts.get(queue).map_or(&[], Vec::as_slice)).await?;
        counted.insert(queue.to_string(), (clock_millis, backlog.clone()));
        Ok(backlog)
    }
}

/// A partition that holds events, and when the first of them is due, in Unix seconds.
pub(super) type First = (u16, i64);

/// The partitions in a range that hold events, of wanted queues. Costs a scan of one row for each, and for each queue that
/// is not wanted and holds events.
pub(super) async fn firsts(
    database: &Database,
    range: KeyRange,
    is_wanted: impl Fn(&str) -> bool,
) -> Result<BTreeMap<String, Vec<First>>> {
    let mut walk = Walk::over(range).in_pages(PageSize::entries(1));
    let mut found: BTreeMap<String, Vec<First>> = BTreeMap::new();
    while let Some((page, _)) = walk.next(database).await? {
        let Some((key, value)) = page.into_iter().next() else { break };
        let Some(place) = keys::parse_event(&key) else { continue };
        let passed = if is_wanted(&place.queue) {
            let due = due_second(&key, &value);
            found.entry(place.queue.clone()).or_default().push((place.partition, due));
            keys::events_of_partition(&place.queue, place.partition)
        } else {
            keys::events_of_queue(&place.queue)
        };
        if let Some(end) = passed.end {
            walk.skip_to(end);
        }
    }
    Ok(found)
}

/// Counts what is due in these partitions.
pub(super) async fn count(database: &Database, queue: &str, now: Now, firsts: &[First]) -> Result<Backlog> {
    let now = now.seconds();
    let mut backlog = Backlog { count: 0, at_least: false, oldest_due: None, as_of: time_of(now) };
    let mut oldest = firsts.iter().map(|(_, due)| *due).filter(|due| *due <= now).min();
    let mut looked_at = 0;
    'partitions: for (partition, _) in firsts {
        let first = keys::events_of_partition(queue, *partition).start;
        let due = KeyRange::new(first, keys::events_from_second(queue, *partition, now.saturating_add(1)));
        let mut walk = Walk::over(due).in_pages(PageSize::entries(PAGE).and_bytes(PAGE_BYTES));
        while let Some((page, _)) = walk.next(database).await? {
            for (key, value) in &page {
                if looked_at == MOST_COUNTED {
                    backlog.at_least = true;
                    break 'partitions;
                }
                looked_at += 1;
                let due = due_second(key, value);
                if due <= now {
                    backlog.count += 1;
                    oldest = Some(oldest.map_or(due, |oldest| oldest.min(due)));
                }
            }
        }
    }
    let age = oldest.and_then(|oldest| u64::try_from(now.saturating_sub(oldest)).ok());
    backlog.oldest_due = age.map(Duration::from_secs);
    Ok(backlog)
}
