//! Finds one event in one queue, in a bounded number of rows.

use std::collections::BTreeSet;
use std::sync::Arc;

use tito_core::database::{PageSize, Walk};
use tito_core::engine::KeyValue;
use tito_core::event::{EventReference, Topic, started_at};
use tito_core::keys::KeyRange;
use tito_core::row::StoredRow;
use tito_core::{Result, Transaction};
use uuid::Uuid;

use crate::keys;
use crate::moved::Moved;
use crate::place::{Kind, Place};

/// How many rows are read of each kind where the event is looked for: pending, dead and done.
const MOST_SEARCHED: usize = 300;

/// How many are read at once.
const PAGE: usize = 100;

/// The event in question. The more you know about it, the less has to be read.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WhichEvent {
    /// The reference that its publisher got.
    Reference(EventReference),
    /// Its id and its entity, which determines the partition.
    OfEntity {
        /// What it is about.
        entity: String,
        /// Its id.
        id: Uuid,
    },
    /// Its id alone.
    Id(Uuid),
}

impl From<EventReference> for WhichEvent {
    fn from(reference: EventReference) -> Self {
        Self::Reference(reference)
    }
}

impl From<&EventReference> for WhichEvent {
    fn from(reference: &EventReference) -> Self {
        Self::Reference(reference.clone())
    }
}

impl From<Uuid> for WhichEvent {
    fn from(id: Uuid) -> Self {
        Self::Id(id)
    }
}

impl WhichEvent {
    pub(super) fn id(&self) -> Uuid {
        match self {
            Self::Reference(reference) => reference.id,
            Self::OfEntity { id, .. } | Self::Id(id) => *id,
        }
    }

    /// The partitions in which it can lie; none if it can be any.
    fn partitions(&self, topic: &Topic) -> Option<BTreeSet<u16>> {
        let entity = match self {
            Self::Reference(reference) => &reference.entity,
            Self::OfEntity { entity, .. } => entity,
            Self::Id(_) => return None,
        };
        Some(partitions_of(topic, entity))
    }

    /// When it fell due as it was published, as far as it is known: many are due at once.
    fn second(&self) -> i64 {
        match self {
            Self::Reference(reference) => reference.timestamp,
            Self::OfEntity { id, .. } | Self::Id(id) => published_second(*id),
        }
    }
}

/// The partitions in which the events of an entity can lie.
pub(super) fn partitions_of(topic: &Topic, entity: &str) -> BTreeSet<u16> {
    let counts = [Some(topic.partitions), topic.resized_from];
    counts.into_iter().flatten().map(|count| keys::partition_of(entity, count)).collect()
}

fn published_second(id: Uuid) -> i64 {
    (started_at(id).physical_millis() / 1_000) as i64
}

/// What a search came to.
pub(super) struct Found {
    pub(super) row: Option<(Kind, KeyValue)>,
    pub(super) rows_read: u64,
    /// Whether all was read where it can lie.
    pub(super) is_certain: bool,
}

/// Looks where it was published, where it was moved, and then at what lies in its partition.
pub(super) async fn find(tx: &Transaction, queue: &Arc<str>, topic: &Topic, which: &WhichEvent) -> Result<Found> {
    let (id, second) = (which.id(), which.second());
    let partitions = which.partitions(topic);
    let mut found = Found { row: None, rows_read: 0, is_certain: true };
    let all = 0..topic.served_partitions();
    let likely: Vec<u16> = partitions.as_ref().map_or_else(|| all.collect(), |some| some.iter().copied().collect());
    let mut asked = vec![keys::moved_event(queue, id)];
    asked.extend(likely.iter().map(|partition| keys::event(queue, *partition, second, id)));
    let mut stored = tx.batch_get(asked.clone()).await?.into_iter().zip(asked);
    let note = stored.next().and_then(|(note, key)| note.map(|note| (key, note)));
    found.row = stored.find_map(|(value, key)| value.map(|value| (Kind::Pending, (key, value))));
    if found.row.is_none()
        && let Some((key, note)) = note
    {
        match Moved::decode(&key, &note) {
            Ok(moved) => {
                let key = moved.place(queue, id);
                found.row = tx.get(&key).await?.map(|value| (Kind::Pending, (key, value)));
            }
            Err(error) => {
                tx.database().log_damaged(&error, "an event is searched for, as it can't be read where it was moved")
            }
        }
    }
    found.rows_read += u64::from(found.row.is_some());
    if found.row.is_some() {
        return Ok(found);
    }
    // Where it was published is known for certain, and so is whether it was moved.
    let is_not_pending = matches!(which, WhichEvent::Reference(_)) && topic.notes_moves_of(id);
    for kind in Kind::ALL {
        if kind == Kind::Pending && is_not_pending {
            continue;
        }
        if let Some(row) = search(tx, queue, kind, (id, second), partitions.as_ref(), &mut found).await? {
            found.row = Some((kind, row));
            break;
        }
    }
    Ok(found)
}

async fn search(
    tx: &Transaction,
    queue: &Arc<str>,
    kind: Kind,
    (id, second): (Uuid, i64),
    partitions: Option<&BTreeSet<u16>>,
    found: &mut Found,
) -> Result<Option<KeyValue>> {
    let mut ranges = Vec::new();
    match partitions {
        None => ranges.push(kind.of_queue(queue)),
        Some(partitions) => {
            for &partition in partitions {
                let all = kind.of_partition(queue, partition);
                // It was mostly done, or failed for good, soon after it was due.
                let due = Place { kind, partition, second: second.clamp(0, keys::MAX_EVENT_SECONDS), id: Uuid::nil() };
                let due = due.key(queue);
                ranges.push(all.clone().not_before(due.clone()));
                ranges.push(KeyRange::new(all.start, due));
            }
        }
    }
    let mut rest = MOST_SEARCHED;
    for range in ranges {
        let mut walk = Walk::over(range).in_pages(PageSize::entries(PAGE.min(rest.max(1))));
        while rest > 0
            && let Some(page) = walk.next_in(tx).await?
        {
            rest = rest.saturating_sub(page.len());
            found.rows_read += page.len() as u64;
            let is_it = |key: &[u8]| keys::parse_event(key).is_some_and(|place| place.id == id);
            if let Some(row) = page.into_iter().find(|(key, _)| is_it(key)) {
                return Ok(Some(row));
            }
        }
        found.is_certain &= walk.is_over();
    }
    Ok(None)
}
