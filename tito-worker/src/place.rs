//! Where the rows of events lie, and how one gets to another place.

use std::sync::Arc;

use tito_core::engine::Signal;
use tito_core::event::{TitoEvent, Topic, event_id, note_owner, owner_of};
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

/// Stores the row of an event, in the place of the one under `instead_of` if there is one, notes where if that is another
/// key and whose it is, and tells the workers of this process once the transaction is committed if it is to be handled.
pub(crate) async fn put(
    tx: &Transaction,
    queue: &Arc<str>,
    place: Place,
    row: Vec<u8>,
    instead_of: Option<&[u8]>,
) -> Result<()> {
    let key = place.key(queue);
    if let Some(old) = instead_of.filter(|old| *old != key) {
        tx.system_keys().delete(old.to_vec()).await?;
    }
    let is_moved = instead_of != Some(key.as_slice());
    // What is to be handled and is only moved is found from where it was published.
    let may_be_unknown = place.kind != Kind::Pending || instead_of.is_none_or(|old| !keys::events().contains(old));
    if may_be_unknown && let Some(owner) = owner_of(&row) {
        note_owner(tx, &owner, &key).await?;
    }
    tx.system_keys().put(key.clone(), row).await?;
    if place.kind == Kind::Pending {
        if is_moved {
            Moved::note(tx, queue, place.id, place.partition, place.second).await?;
        }
        tx.signal(Signal { channel: queue.clone(), number: place.partition, payload: key });
    }
    Ok(())
}
