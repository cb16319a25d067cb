//! Where a published event lies now, and what taking it away means to workers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tito_core::database::Walk;
use tito_core::engine::KeyValue;
use tito_core::event::{EventReference, TitoEvent, Topic};
use tito_core::keys::{self, KeyRange};
use tito_core::row::StoredRow;
use tito_core::{Database, Result, Transaction};
use uuid::Uuid;

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

/// The event as it lies in the topic's own queue and in those of the groups, wherever it has not been done.
///
/// Where it was published, and where it was moved, costs two reads of all queues together. Only an event that may have been
/// moved by a release which takes no notes of that is looked for in all of its partition.
pub(crate) async fn locate(database: &Database, tx: &Transaction, reference: &EventReference) -> Result<Vec<Located>> {
    let (queues, partitions, notes_moves) = places(database, tx, reference).await?;
    let mut published = Vec::new();
    for queue in &queues {
        for &partition in &partitions {
            published.push((queue.clone(), keys::event(queue, partition, reference.timestamp, reference.id)));
        }
    }
    let notes = queues.iter().map(|queue| keys::moved_event(queue, reference.id));
    let mut stored = tx.batch_get(published.iter().map(|(_, key)| key.clone()).chain(notes).collect()).await?;
    let notes = stored.split_off(published.len());
    let mut located = BTreeMap::new();
    for ((queue, key), value) in published.into_iter().zip(stored) {
        if let Some(value) = value {
            located.insert(queue.clone(), Located { queue, key, value });
        }
    }
    for (queue, note) in queues.into_iter().zip(notes) {
        if located.contains_key(&queue) {
            continue;
        }
        let (found, is_sure) = follow(tx, &queue, note, notes_moves, reference.id).await?;
        let found = match found {
            None if !is_sure => search(tx, &queue, &partitions, reference).await?,
            found => found,
        };
        if let Some((key, value)) = found {
            located.insert(queue.clone(), Located { queue, key, value });
        }
    }
    Ok(located.into_values().collect())
}

/// The event where a note says that it was moved, and whether it is gone if it is not there.
async fn follow(
    tx: &Transaction,
    queue: &str,
    note: Option<Vec<u8>>,
    notes_moves: bool,
    id: Uuid,
) -> Result<(Option<KeyValue>, bool)> {
    let Some(note) = note else { return Ok((None, notes_moves)) };
    match Moved::decode(&keys::moved_event(queue, id), &note) {
        Ok(moved) => {
            let key = moved.place(queue, id);
            Ok((tx.get(&key).await?.map(|value| (key, value)), notes_moves))
        }
        Err(error) => {
            tx.database().log_damaged(&error, "an event is searched for, as it can't be read where it was moved");
            Ok((None, false))
        }
    }
}

/// The queues and the partitions that the event may be in, and whether it is noted where it was moved. By the topic as the transaction sees it and as publishers of
/// this process know it: an event of this very transaction may have been written by a later state than it sees.
async fn places(
    database: &Database,
    tx: &Transaction,
    reference: &EventReference,
) -> Result<(BTreeSet<Arc<str>>, BTreeSet<u16>, bool)> {
    let known = cached_topic(database, &reference.event_type).await?;
    let seen = Topic::read(tx, &reference.event_type).await?;
    let (mut queues, mut partitions) = (BTreeSet::new(), BTreeSet::new());
    for topic in [&seen, &known] {
        queues.extend(topic.queues(&reference.event_type).into_iter().map(Arc::from));
        let counts = [Some(topic.partitions), topic.resized_from];
        partitions.extend(counts.into_iter().flatten().map(|count| keys::partition_of(&reference.entity, count)));
    }
    Ok((queues, partitions, seen.notes_moves_of(reference.id)))
}

/// Looks where retries move events, which is later; then where only a call to reschedule moves them, which is earlier, and
/// where retries do once the database's time was set back.
async fn search(
    tx: &Transaction,
    queue: &str,
    partitions: &BTreeSet<u16>,
    reference: &EventReference,
) -> Result<Option<(Vec<u8>, Vec<u8>)>> {
    for is_later in [true, false] {
        for &partition in partitions {
            let published = keys::events_from_second(queue, partition, reference.timestamp);
            let range = if is_later {
                keys::events_of_partition(queue, partition).not_before(published)
            } else {
                KeyRange::new(keys::events_of_partition(queue, partition).start, published)
            };
            if let Some(found) = search_range(tx, range, reference).await? {
                return Ok(Some(found));
            }
        }
    }
    Ok(None)
}

async fn search_range(
    tx: &Transaction,
    range: KeyRange,
    reference: &EventReference,
) -> Result<Option<(Vec<u8>, Vec<u8>)>> {
    let mut walk = Walk::over(range);
    let is_it = |key: &[u8]| keys::parse_event(key).is_some_and(|place| place.id == reference.id);
    while let Some(page) = walk.next_in(tx).await? {
        if let Some(found) = page.into_iter().find(|(key, _)| is_it(key)) {
            return Ok(Some(found));
        }
    }
    Ok(None)
}
