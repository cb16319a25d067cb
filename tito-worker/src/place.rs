//! Where the rows of events lie, and how one gets to another place.

use std::sync::Arc;

use tito_core::engine::Signal;
use tito_core::event::{TitoEvent, Topic, due_second, event_id, note_owner, owner_of};
use tito_core::keys::KeyRange;
use tito_core::{Result, Transaction};
use uuid::Uuid;

use crate::keys;
use crate::moved::Moved;

/// What a row of an event says of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It has not been done.
    Pending,
    /// It failed for good.
    Dead,
    /// It was done, and is kept as history.
    Done,
}

impl Kind {
    pub(crate) const ALL: [Self; 3] = [Self::Pending, Self::Dead, Self::Done];

    /// All rows of the kind in a queue.
    pub(crate) fn of_queue(self, queue: &str) -> KeyRange {
        match self {
            Self::Pending => keys::events_of_queue(queue),
            Self::Dead => keys::dead_events(queue),
            Self::Done => keys::done_events(queue),
        }
    }

    /// Those of one partition.
    pub(crate) fn of_partition(self, queue: &str, partition: u16) -> KeyRange {
        match self {
            Self::Pending => keys::events_of_partition(queue, partition),
            Self::Dead => keys::dead_events_of_partition(queue, partition),
            Self::Done => keys::done_events_of_partition(queue, partition),
        }
    }
}

/// Where a row of an event lies within its queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) kind: Kind,
    pub(crate) partition: u16,
    /// When it falls due, failed for good or was done.
    pub(crate) second: i64,
    pub(crate) id: Uuid,
}

impl Place {
    /// Where an event belongs that is to be handled.
    pub(crate) fn of(event: &TitoEvent, topic: &Topic) -> Self {
        let partition = topic.partition_of(&event.entity);
        Self { kind: Kind::Pending, partition, second: event.timestamp, id: event.id }
    }

    /// What the key of a row says; `None` for one that Tito does not write.
    pub(crate) fn parse(kind: Kind, key: &[u8]) -> Option<Self> {
        keys::parse_event(key).map(|place| Self {
            kind,
            partition: place.partition,
            second: place.seconds,
            id: place.id,
        })
    }

    pub(crate) fn key(&self, queue: &str) -> Vec<u8> {
        let build = match self.kind {
            Kind::Pending => keys::event,
            Kind::Dead => keys::dead_event,
            Kind::Done => keys::done_event,
        };
        build(queue, self.partition, self.second, self.id)
    }
}

/// The id in the key of a row; a new one where the key has none.
pub(crate) fn id_of(tx: &Transaction, key: &[u8]) -> Uuid {
    keys::parse_event_second_and_id(key)
        .map_or_else(|| event_id(tx.start_timestamp(), tx.next_event_number(), fastrand::u64(..)), |(_, id)| id)
}

/// A row that an event is stored instead of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Old<'a> {
    key: &'a [u8],
    /// When it was to be handled, if it was.
    due: Option<i64>,
}

impl<'a> Old<'a> {
    /// What is stored under a key.
    pub(crate) fn row(key: &'a [u8], value: &[u8]) -> Self {
        Self { key, due: keys::is_event(key).then(|| due_second(key, value)) }
    }

    /// A dead letter, or one that was done.
    pub(crate) fn kept(key: &'a [u8]) -> Self {
        assert!(!keys::is_event(key), "of an event that is to be handled it is known when");
        Self { key, due: None }
    }

    /// What may be stored under the key that the event gets, where nobody knows it by an earlier place.
    pub(crate) async fn found(tx: &Transaction, key: &'a [u8]) -> Result<Self> {
        // Else nobody keeps count of it.
        let is_counted = tx.database().is_only_writer() && keys::is_event(key);
        let stored = if is_counted { tx.get(key).await? } else { None };
        Ok(Self { key, due: stored.map(|value| due_second(key, &value)) })
    }

    /// Deletes it.
    pub(crate) async fn delete(self, tx: &Transaction) -> Result<()> {
        match self.due {
            Some(due) => tx.system_keys().delete_pending(self.key.to_vec(), due).await,
            None => tx.system_keys().delete(self.key.to_vec()).await,
        }
    }
}

/// Stores the row of an event, in the place of the one under `instead_of` if there is one, notes where if that is another
/// key and whose it is, and tells the workers of this process once the transaction is committed if it is to be handled.
pub(crate) async fn put(
    tx: &Transaction,
    queue: &Arc<str>,
    place: Place,
    row: Vec<u8>,
    instead_of: Option<Old<'_>>,
) -> Result<()> {
    let key = place.key(queue);
    if let Some(old) = instead_of.filter(|old| old.key != key) {
        old.delete(tx).await?;
    }
    let replaced = instead_of.filter(|old| old.key == key);
    // What is to be handled and is only moved is found from where it was published.
    let may_be_unknown = place.kind != Kind::Pending || instead_of.is_none_or(|old| !keys::is_event(old.key));
    if may_be_unknown && let Some(owner) = owner_of(&row) {
        note_owner(tx, &owner, &key).await?;
    }
    if place.kind == Kind::Pending {
        let due = due_second(&key, &row);
        tx.system_keys().put_pending(key.clone(), row, due, replaced.and_then(|old| old.due)).await?;
        if replaced.is_none() {
            Moved::note(tx, queue, place.id, place.partition, place.second).await?;
        }
        tx.signal(Signal { channel: queue.clone(), number: place.partition, payload: key });
    } else {
        tx.system_keys().put(key, row).await?;
    }
    Ok(())
}
