//! Dead letters by what their errors have in common.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BinaryHeap, HashMap};

use chrono::{DateTime, Utc};
use serde::Serialize;
use tito_core::database::{PageSize, Walk};
use tito_core::engine::{Direction, KeyValue};
use tito_core::event::TitoEvent;
use tito_core::keys::KeyRange;
use tito_core::{Database, KeyText, Result};
use uuid::Uuid;

use super::list::DeadLetter;
use crate::error::QueueError;
use crate::fingerprint::fingerprint;
use crate::inspect::{SearchBounds, serialize_key, serialize_key_or_none};
use crate::keys;
use crate::place::{Kind, Place};
use crate::queue::TitoQueue;
use crate::time::time_of;

/// How many rows of all partitions together are in memory at once, about, and how many bytes of them; one row of each
/// partition at least.
const MOST_LOADED: usize = 1_600;
const MOST_LOADED_BYTES: usize = 32 << 20;

/// How many groups are told apart.
const MOST_GROUPS: usize = 1_000;

/// Dead letters whose last errors differ only in numbers, ids and quoted texts.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct DeadLetterGroup {
    /// What they have in common; see [`DeadLetter::fingerprint`]. `None` for letters without an error: bytes that are
    /// not an event.
    pub fingerprint: Option<String>,
    /// How many there are among those that were searched.
    pub count: u64,
    /// When the newest failed for good, to the second. Written as Unix seconds by serde.
    #[serde(serialize_with = "chrono::serde::ts_seconds::serialize")]
    pub newest: DateTime<Utc>,
    /// When the oldest did.
    #[serde(serialize_with = "chrono::serde::ts_seconds::serialize")]
    pub oldest: DateTime<Utc>,
    /// The last error of the newest.
    pub error: Option<String>,
    /// Where the newest is stored.
    #[serde(serialize_with = "serialize_key")]
    pub example: KeyText,
}

/// The dead letters of a queue grouped by their errors, as far as they were searched.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct DeadLetterGroups {
    /// The groups, the largest first.
    pub groups: Vec<DeadLetterGroup>,
    /// How many letters are in no group because there were 1,000 groups already.
    pub others: u64,
    /// How many letters were searched, beginning with the newest.
    pub searched: u64,
    /// How many there are at least, including those searched.
    pub at_least: u64,
    /// Where to continue; `None` if all were searched.
    #[serde(serialize_with = "serialize_key_or_none")]
    pub after: Option<KeyText>,
}

impl DeadLetter {
    /// The same for all errors that differ only in numbers, ids and quoted texts: 16 hexadecimal digits, as stored with
    /// its last error, or computed from the stored text if an earlier release dead-lettered it. `None` if it has no
    /// error.
    pub fn fingerprint(&self) -> Option<String> {
        fingerprint_of(self.event.as_ref()?)
    }
}

/// The fingerprint of an event's last failure, like [`DeadLetter::fingerprint`]: for
/// [`redrive_where`](TitoQueue::redrive_where).
pub fn fingerprint_of(event: &TitoEvent) -> Option<String> {
    let failure = event.failures.last()?;
    Some(failure.fingerprint.clone().unwrap_or_else(|| fingerprint(&failure.error)))
}

impl TitoQueue {
    /// Groups the dead letters of a queue, `{type}` or `{type}@{group}`, by what their last errors have in common, the
    /// newest letters first, across all partitions. It continues after the one with the key `after`, from an earlier
    /// answer, and then covers only the letters from there on.
    ///
    /// ```
    /// # use tito_worker::prelude::*;
    /// # use tito_worker::SearchBounds;
    /// # async fn example(queue: TitoQueue) -> Result<(), tito_worker::QueueError> {
    /// let found = queue.dead_letter_groups("mail", SearchBounds::default(), None).await?;
    /// println!("searched {} of at least {}", found.searched, found.at_least);
    /// for group in &found.groups {
    ///     println!("{} times: {}", group.count, group.error.as_deref().unwrap_or("not an event"));
    /// }
    /// let worst = found.groups.first().and_then(|group| group.fingerprint.clone());
    /// if let Some(worst) = worst {
    ///     let is_one = move |letter: &tito_worker::DeadLetter| letter.fingerprint().as_ref() == Some(&worst);
    ///     println!("{} of them are purged", queue.purge_dead_letters_where("mail", is_one).await?);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// Costs one scan of a row for each partition that has dead letters, and pages of the letters that it searches,
    /// each at its own snapshot. At most 1,000 groups are distinguished.
    ///
    /// # Errors
    /// [`TitoError::InvalidName`](tito_core::TitoError::InvalidName), [`QueueError::UnknownTopic`],
    /// [`QueueError::UnknownGroup`], and those of the engine.
    pub async fn dead_letter_groups(
        &self,
        queue: &str,
        bounds: SearchBounds,
        after: Option<&KeyText>,
    ) -> Result<DeadLetterGroups, QueueError> {
        self.existing(queue).await?;
        let ends = bounds.ends(&self.engine);
        let mut newest_first = NewestFirst::begin(&self.engine, queue, after.map(KeyText::as_bytes)).await?;
        let mut groups = Groups::default();
        let (mut searched, mut last) = (0, None);
        while let Some((key, value)) = newest_first.next(&self.engine).await? {
            last = Some(KeyText::from(key.as_slice()));
            groups.add(DeadLetter::new((key, value)));
            searched += 1;
            if searched >= bounds.rows || self.engine.clock().monotonic_millis() >= ends {
                break;
            }
        }
        let left = newest_first.known_left();
        let after = last.filter(|_| left > 0);
        let (groups, others) = groups.sorted();
        Ok(DeadLetterGroups { groups, others, searched, at_least: searched + left, after })
    }
}

#[derive(Default)]
struct Groups {
    of: HashMap<Option<String>, DeadLetterGroup>,
    others: u64,
}

impl Groups {
    fn add(&mut self, letter: DeadLetter) {
        let fingerprint = letter.fingerprint();
        let at = letter.given_up_at().unwrap_or(time_of(0));
        let has_room = self.of.len() < MOST_GROUPS;
        if let Some(group) = self.of.get_mut(&fingerprint) {
            group.count += 1;
            group.oldest = group.oldest.min(at);
        } else if has_room {
            let error = letter.event.and_then(|mut event| event.failures.pop()).map(|failure| failure.error);
            let (newest, oldest, example) = (at, at, letter.key);
            let group = DeadLetterGroup { fingerprint: fingerprint.clone(), count: 1, newest, oldest, error, example };
            self.of.insert(fingerprint, group);
        } else {
            self.others += 1;
        }
    }

    fn sorted(self) -> (Vec<DeadLetterGroup>, u64) {
        let mut groups: Vec<_> = self.of.into_values().collect();
        groups.sort_by(|a, b| {
            b.count.cmp(&a.count).then(b.newest.cmp(&a.newest)).then(a.fingerprint.cmp(&b.fingerprint))
        });
        (groups, self.others)
    }
}

/// The order of the letters: by the second in which they failed for good, the partition and the id. Where a key names no
/// second or no id, which no worker writes, it comes first and is in nobody's way.
type Rank = (i64, u16, Uuid);

fn rank(key: &[u8], partition: u16) -> Rank {
    let second = keys::parse_event_second(key).unwrap_or(i64::MAX);
    (second, partition, keys::parse_event(key).map_or(Uuid::max(), |place| place.id))
}

/// Goes through the dead letters of a queue, over all partitions.
struct NewestFirst {
    page: PageSize,
    parts: BTreeMap<u16, Part>,
    /// The newest in memory of each partition that has some.
    heads: BinaryHeap<Rank>,
}

/// What is left of a partition.
struct Part {
    /// Not read yet; none at the end.
    rest: Option<KeyRange>,
    /// Read, the newest last.
    loaded: Vec<KeyValue>,
}

impl NewestFirst {
    async fn begin(database: &Database, queue: &str, after: Option<&[u8]>) -> Result<Self> {
        let after = after.filter(|key| keys::dead_events(queue).contains(key));
        let mut walk = Walk::over(keys::dead_events(queue)).in_pages(PageSize::entries(1));
        let mut parts = BTreeMap::new();
        while let Some((page, _)) = walk.next(database).await? {
            let Some(partition) = page.first().and_then(|(key, _)| keys::parse_event_partition(key)) else { continue };
            let all = keys::dead_events_of_partition(queue, partition);
            if let Some(end) = all.end.clone() {
                walk.skip_to(end);
            }
            let rest = after.map_or(all.clone(), |after| rest_after(queue, partition, all, after));
            parts.insert(partition, Part { rest: (!rest.is_empty()).then_some(rest), loaded: Vec::new() });
        }
        let of_each = |most: usize| most / parts.len().max(1);
        let page = PageSize::entries(of_each(MOST_LOADED).min(100)).and_bytes(of_each(MOST_LOADED_BYTES));
        let partitions: Vec<_> = parts.keys().copied().collect();
        let mut newest_first = Self { page, parts, heads: BinaryHeap::new() };
        for partition in partitions {
            newest_first.load(database, partition).await?;
        }
        Ok(newest_first)
    }

    async fn next(&mut self, database: &Database) -> Result<Option<KeyValue>> {
        let Some((_, partition, _)) = self.heads.pop() else { return Ok(None) };
        let part = self.parts.get_mut(&partition).expect("only partitions of the map have heads");
        let next = part.loaded.pop();
        match part.loaded.last() {
            Some((key, _)) => self.heads.push(rank(key, partition)),
            None => self.load(database, partition).await?,
        }
        Ok(next)
    }

    async fn load(&mut self, database: &Database, partition: u16) -> Result<()> {
        let part = self.parts.get_mut(&partition).expect("only partitions of the map are loaded");
        let Some(range) = part.rest.take() else { return Ok(()) };
        let mut loaded = database.snapshot().await?.next_page(range.clone(), Direction::Descending, self.page).await?;
        // A page can be short before the end.
        if let Some((last, _)) = loaded.last() {
            let rest = range.before(last);
            part.rest = (!rest.is_empty()).then_some(rest);
        }
        loaded.reverse();
        part.loaded = loaded;
        self.heads.extend(part.loaded.last().map(|(key, _)| rank(key, partition)));
        Ok(())
    }

    /// How many letters are known to be left.
    fn known_left(&self) -> u64 {
        self.parts.values().map(|part| part.loaded.len() as u64).sum()
    }
}

/// What comes after a letter, newest first, in a partition.
fn rest_after(queue: &str, partition: u16, all: KeyRange, after: &[u8]) -> KeyRange {
    let Some(of_partition) = keys::parse_event_partition(after) else { return all };
    let (second, ..) = rank(after, of_partition);
    let of_second = |second| Place { kind: Kind::Dead, partition, second, id: Uuid::nil() }.key(queue);
    let end = match partition.cmp(&of_partition) {
        Ordering::Equal => Some(after.to_vec()),
        // Of one second, those of later partitions come first.
        Ordering::Greater => Some(of_second(second)),
        Ordering::Less if second < keys::MAX_EVENT_SECONDS => Some(of_second(second + 1)),
        Ordering::Less => all.end,
    };
    KeyRange { end, ..all }
}
