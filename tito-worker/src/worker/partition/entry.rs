//! What to do with an entry of a page.

use tito_core::event::{EventHead, Topic, started_at};
use tito_core::{KeyText, Timestamp};

use crate::policy::Order;
use crate::worker::blocked::Blocked;
use crate::worker::held::{Held, Slot};
use crate::worker::lanes::{Entity, entity_of};

/// What a partition goes by when it takes in a page.
pub(super) struct View<'a> {
    pub(super) order: Order,
    pub(super) topic: &'a Topic,
    pub(super) partition: u16,
    /// When the page was read.
    pub(super) seen: Timestamp,
    /// The present of the subscription, in Unix seconds.
    pub(super) present: i64,
    /// Of what began since then, nothing is handed out before another look at what may have been committed meanwhile.
    pub(super) looks_back_from: Option<Timestamp>,
}

/// Why a page is not taken in further.
#[derive(Debug, PartialEq)]
pub(super) enum End {
    /// The rest is not due, from this second on.
    NotDue(i64),
    /// An earlier event of the entity may have been committed behind the cursor.
    LooksBack,
    NoRoom,
}

/// What to do with an entry that is taken in.
#[derive(Debug, PartialEq)]
pub(super) enum Entry {
    /// It is being dealt with already.
    Held,
    NoEvent,
    /// It waits for an earlier one of its entity, or for its entity's move to another partition.
    Waits,
    /// It keeps the later ones of its entity waiting until a second.
    WaitsUntil {
        entity: Entity,
        until: i64,
    },
    /// It has kept its place, and does not keep it any more.
    PutOff {
        until: i64,
    },
    /// It belongs to another partition.
    Misplaced,
    Due {
        entity: Entity,
    },
}

impl View<'_> {
    /// Whether the page ends before an entry, whose slot is this if its key has one.
    pub(super) fn ends_before(&self, slot: Option<Slot>, held: &Held) -> Option<End> {
        if let Some(slot) = slot {
            if slot.second > self.present {
                return Some(End::NotDue(slot.second));
            }
            // An id that no clock has given, later than the page, would have it look back for ever.
            let start = started_at(slot.id);
            if start <= self.seen && self.looks_back_from.is_some_and(|from| start >= from) {
                return Some(End::LooksBack);
            }
        }
        held.is_full().then_some(End::NoRoom)
    }

    pub(super) fn entry(&self, key: &[u8], row: &[u8], slot: Option<Slot>, held: &Held, blocked: &Blocked) -> Entry {
        if held.is_held(&slot.unwrap_or_else(|| Slot::of(key))) {
            return Entry::Held;
        }
        // One with the id of another would be stored in its place when it is tried again.
        let head = EventHead::decode(key, row).ok().filter(|head| slot.is_some_and(|slot| slot.id == head.id));
        let Some(head) = head else {
            tracing::error!(key = %KeyText::from(key), "not an event, set aside");
            return Entry::NoEvent;
        };
        let entity = entity_of(&head.entity);
        let keeps_place = self.order.keeps_places();
        if keeps_place && (blocked.holds_up(entity, key) || self.topic.is_moving(&head.entity)) {
            return Entry::Waits;
        }
        match head.not_before.filter(|until| *until > self.present) {
            Some(until) if keeps_place => Entry::WaitsUntil { entity, until },
            Some(until) => Entry::PutOff { until },
            // While the number of partitions changes, whoever changes it moves what lies in the wrong ones.
            None if self.topic.resized_from.is_none() && self.topic.partition_of(&head.entity) != self.partition => {
                Entry::Misplaced
            }
            None => Entry::Due { entity },
        }
    }
}
