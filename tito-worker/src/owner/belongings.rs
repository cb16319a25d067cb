//! What there is of what an owner's rows name.

use std::collections::BTreeMap;
use std::sync::Arc;

use tito_core::event::{Topic, queue_name, topic_of};
use tito_core::row::{self, StoredRow};
use tito_core::{Result, TitoError, Transaction};

use crate::keys;
use crate::locate::{Located, Sought, locate_all};
use crate::place::Kind;
use crate::schedule::owner_of_schedule;
use crate::unique::UniqueRow;

/// A row that says that something belongs to an owner, and what there is of that.
pub(super) struct Belonging {
    pub(super) row: Vec<u8>,
    /// An error if it can't be read whether there is something.
    pub(super) found: Result<Found>,
}

/// What there is of what a row names.
pub(super) enum Found {
    Gone,
    /// An event that has not been done, in these queues.
    Pending(Vec<Located>),
    /// A dead letter, or a kept event, under this key.
    Kept(Kind, Vec<u8>),
    /// The key of a unique event.
    Unique(Vec<u8>),
    Schedule(Vec<u8>),
}

/// What a row names.
enum Named {
    Pending(Sought),
    Stored(Stored, Vec<u8>),
}

#[derive(Clone, Copy)]
enum Stored {
    Kept(Kind),
    Unique,
    Schedule,
}

/// Reads what there is of what the first of some rows name: of so many that deleting it takes at most `most_keys` keys, and
/// of one at least. Costs four reads of all of them together, and one for each topic.
pub(super) async fn belongings(tx: &Transaction, rows: Vec<Vec<u8>>, most_keys: usize) -> Result<Vec<Belonging>> {
    let mut topics = Topics::new();
    let (mut taken, mut keys) = (Vec::new(), 0);
    for row in rows {
        let named = name(tx, &row, &mut topics).await?;
        keys += match &named {
            // Of each queue the event and its note.
            Ok((_, Named::Pending(sought))) => 1 + 2 * sought.queues.len(),
            Ok((_, Named::Stored(..))) => 2,
            Err(_) => 0,
        };
        if keys > most_keys && !taken.is_empty() {
            break;
        }
        taken.push((row, named));
    }
    let (mut sought, mut stored) = (Vec::new(), Vec::new());
    let mut named = Vec::with_capacity(taken.len());
    for (row, what) in taken {
        named.push((
            row,
            match what {
                Ok((_, Named::Pending(event))) => {
                    sought.push(event);
                    Ok(None)
                }
                Ok((owner, Named::Stored(kind, key))) => {
                    stored.push(key.clone());
                    Ok(Some((owner, kind, key)))
                }
                Err(error) => Err(error),
            },
        ));
    }
    let mut located = locate_all(tx, &sought).await?.into_iter();
    let mut stored = tx.batch_get(stored).await?.into_iter();
    let found = named.into_iter().map(|(row, named)| {
        let found = named.and_then(|named| match named {
            None => Ok(located.next().filter(|found| !found.is_empty()).map_or(Found::Gone, Found::Pending)),
            Some((owner, kind, key)) => read(&owner, kind, key, stored.next().flatten()),
        });
        Belonging { row, found }
    });
    Ok(found.collect())
}

type Topics = BTreeMap<String, Topic>;

/// The owner and what is named; the inner error is of a row, or a topic's, that can't be read.
async fn name(tx: &Transaction, row: &[u8], topics: &mut Topics) -> Result<Result<(String, Named)>> {
    const EXPECTED: &str = "the key of an event, a unique key or a schedule behind an owner";
    let unknown = || row::malformed(row, EXPECTED, "it is none that this version knows");
    let Some((owner, key)) = keys::parse_owned(row) else { return Ok(Err(unknown())) };
    let stored = if keys::all_dead_events().contains(key) {
        Stored::Kept(Kind::Dead)
    } else if keys::all_done_events().contains(key) {
        Stored::Kept(Kind::Done)
    } else if keys::all_unique_events().contains(key) {
        Stored::Unique
    } else if keys::schedules().contains(key) {
        Stored::Schedule
    } else if let Some(place) = keys::parse_event(key) {
        let event_type = topic_of(&place.queue).0.to_string();
        if !topics.contains_key(&event_type) {
            match Topic::read(tx, &event_type).await {
                Ok(topic) => topics.insert(event_type.clone(), topic),
                Err(error @ TitoError::Malformed { .. }) => return Ok(Err(error)),
                Err(error) => return Err(error),
            };
        }
        let topic = &topics[&event_type];
        // What is being deleted with its group can still be looked at.
        let removed = topic.removed_groups.keys().map(|group| queue_name(&event_type, Some(group)));
        let queues = topic.queues(&event_type).into_iter().chain(removed).map(Arc::from).collect();
        let (timestamp, id, is_noted) = (place.seconds, place.id, topic.notes_moves_of(place.id));
        let sought = Sought { queues, partitions: [place.partition].into(), timestamp, id, is_noted };
        return Ok(Ok((owner, Named::Pending(sought))));
    } else {
        return Ok(Err(unknown()));
    };
    Ok(Ok((owner, Named::Stored(stored, key.to_vec()))))
}

/// What is stored under a key, if it is still the owner's: keys of unique events and schedules may have become another's.
fn read(owner: &str, kind: Stored, key: Vec<u8>, value: Option<Vec<u8>>) -> Result<Found> {
    let Some(value) = value else { return Ok(Found::Gone) };
    let of = match kind {
        Stored::Kept(kind) => return Ok(Found::Kept(kind, key)),
        Stored::Unique => UniqueRow::decode(&key, &value)?.owner,
        Stored::Schedule => owner_of_schedule(&key, &value)?,
    };
    Ok(match kind {
        _ if of.as_deref() != Some(owner) => Found::Gone,
        Stored::Schedule => Found::Schedule(key),
        _ => Found::Unique(key),
    })
}
