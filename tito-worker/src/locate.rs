//! Where a published event lies now, and what taking it away means to workers.

use std::collections::BTreeSet;
use std::sync::Arc;

use tito_core::database::Walk;
use tito_core::engine::KeyValue;
use tito_core::event::{EventReference, TitoEvent, Topic};
use tito_core::keys::KeyRange;
use tito_core::row::StoredRow;
use tito_core::{Database, Result, Transaction};
use uuid::Uuid;

use crate::keys;
use crate::moved::Moved;
use crate::topics::cached_topic;

/// An event that has not been done, in one of its queues.
pub(crate) struct Located {
    pub(crate) queue: Arc<str>,
    pub(crate) key: Vec<u8>,
    pub(crate) value: Vec<u8>,
}

/// Until when later events of its entity wait for what is stored, if it is an event that was postponed in its place.
/// Whoever takes it away raises the topic's revision: workers remember that they wait, and have to look again.
pub(crate) fn blocks_until(key: &[u8], value: &[u8]) -> Option<i64> {
    TitoEvent::decode(key, value).ok()?.not_before
}

impl Located {
    /// See [`blocks_until`].
    pub(crate) fn blocks_until(&self) -> Option<i64> {
        blocks_until(&self.key, &self.value)
    }
}

/// An event that is looked for, by where it was published.
pub(crate) struct Sought {
    pub(crate) queues: BTreeSet<Arc<str>>,
    pub(crate) partitions: BTreeSet<u16>,
    /// The second at which it was to fall due.
    pub(crate) timestamp: i64,
    pub(crate) id: Uuid,
    /// Whether it is noted where it was moved, if it was.
    pub(crate) is_noted: bool,
}

/// The event as it lies in the topic's own queue and in those of the groups, wherever it has not been done.
///
/// Where it was published, and where it was moved, costs two reads of all queues together. Only an event that may have been
/// moved by a release which takes no notes of that is looked for in all of its partition.
pub(crate) async fn locate(database: &Database, tx: &Transaction, reference: &EventReference) -> Result<Vec<Located>> {
    let sought = [sought(database, tx, reference).await?];
    Ok(locate_all(tx, &sought).await?.pop().unwrap_or_default())
}

/// The same of several events: of each where it lies. Costs two reads of all of them together.
pub(crate) async fn locate_all(tx: &Transaction, sought: &[Sought]) -> Result<Vec<Vec<Located>>> {
    let mut looks: Vec<_> = sought.iter().enumerate().flat_map(|(number, event)| event.looks(number)).collect();
    let published: Vec<_> = looks.iter().flat_map(Look::published).collect();
    let notes = looks.iter().map(|look| keys::moved_event(look.queue, look.event.id));
    let mut stored = tx.batch_get(published.iter().cloned().chain(notes).collect()).await?;
    let notes = stored.split_off(published.len());
    let mut stored = published.into_iter().zip(stored);
    let mut moved = Vec::new();
    for (at, (look, note)) in looks.iter_mut().zip(notes).enumerate() {
        for (key, value) in stored.by_ref().take(look.event.partitions.len()) {
            look.found = value.map(|value| (key, value)).or(look.found.take());
        }
        if let Some(key) = note.filter(|_| look.found.is_none()).and_then(|note| look.follow(tx, &note)) {
            moved.push((at, key));
        }
    }
    if !moved.is_empty() {
        let stored = tx.batch_get(moved.iter().map(|(_, key)| key.clone()).collect()).await?;
        for ((at, key), value) in moved.into_iter().zip(stored) {
            looks[at].found = value.map(|value| (key, value));
        }
    }
    let mut located: Vec<Vec<Located>> = sought.iter().map(|_| Vec::new()).collect();
    for Look { number, queue, event, found, is_sure } in looks {
        let found = match found {
            None if !is_sure => search(tx, queue, event).await?,
            found => found,
        };
        if let Some((key, value)) = found {
            located[number].push(Located { queue: queue.clone(), key, value });
        }
    }
    Ok(located)
}

/// One event in one queue.
struct Look<'a> {
    /// Which of those that are looked for.
    number: usize,
    event: &'a Sought,
    queue: &'a Arc<str>,
    found: Option<KeyValue>,
    /// Whether it is gone if it is neither where it was published nor where it was noted.
    is_sure: bool,
}

impl Sought {
    fn looks(&self, number: usize) -> impl Iterator<Item = Look<'_>> {
        let is_sure = self.is_noted;
        self.queues.iter().map(move |queue| Look { number, event: self, queue, found: None, is_sure })
    }
}

impl Look<'_> {
    fn published(&self) -> impl Iterator<Item = Vec<u8>> {
        let Sought { timestamp, id, .. } = *self.event;
        self.event.partitions.iter().map(move |&partition| keys::event(self.queue, partition, timestamp, id))
    }

    /// Where a note says that it was moved.
    fn follow(&mut self, tx: &Transaction, note: &[u8]) -> Option<Vec<u8>> {
        let id = self.event.id;
        match Moved::decode(&keys::moved_event(self.queue, id), note) {
            Ok(moved) => Some(moved.place(self.queue, id)),
            Err(error) => {
                tx.database().log_damaged(&error, "an event is searched for, as it can't be read where it was moved");
                self.is_sure = false;
                None
            }
        }
    }
}

/// The queues and the partitions that the event may be in, and whether it is noted where it was moved. By the topic as the
/// transaction sees it and as publishers of this process know it: an event of this very transaction may have been written
/// by a later state than it sees.
async fn sought(database: &Database, tx: &Transaction, reference: &EventReference) -> Result<Sought> {
    let known = cached_topic(database, &reference.event_type).await?;
    let seen = Topic::read(tx, &reference.event_type).await?;
    let (mut queues, mut partitions) = (BTreeSet::new(), BTreeSet::new());
    for topic in [&seen, &known] {
        queues.extend(topic.queues(&reference.event_type).into_iter().map(Arc::from));
        let counts = [Some(topic.partitions), topic.resized_from];
        partitions.extend(counts.into_iter().flatten().map(|count| keys::partition_of(&reference.entity, count)));
    }
    let (timestamp, id) = (reference.timestamp, reference.id);
    Ok(Sought { queues, partitions, timestamp, id, is_noted: seen.notes_moves_of(id) })
}

/// Looks where retries move events, which is later; then where only a call to reschedule moves them, which is earlier, and
/// where retries do once the database's time was set back.
async fn search(tx: &Transaction, queue: &str, event: &Sought) -> Result<Option<KeyValue>> {
    for is_later in [true, false] {
        for &partition in &event.partitions {
            let published = keys::events_from_second(queue, partition, event.timestamp);
            let range = if is_later {
                keys::events_of_partition(queue, partition).not_before(published)
            } else {
                KeyRange::new(keys::events_of_partition(queue, partition).start, published)
            };
            if let Some(found) = search_range(tx, range, event.id).await? {
                return Ok(Some(found));
            }
        }
    }
    Ok(None)
}

async fn search_range(tx: &Transaction, range: KeyRange, id: Uuid) -> Result<Option<KeyValue>> {
    let mut walk = Walk::over(range);
    let is_it = |key: &[u8]| keys::parse_event(key).is_some_and(|place| place.id == id);
    while let Some(page) = walk.next_in(tx).await? {
        if let Some(found) = page.into_iter().find(|(key, _)| is_it(key)) {
            return Ok(Some(found));
        }
    }
    Ok(None)
}
