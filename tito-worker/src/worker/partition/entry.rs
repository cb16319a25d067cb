//! What to do with an entry of a page.

use tito_core::Timestamp;
use tito_core::event::{EventHead, Topic, started_at};

use crate::policy::Order;
use crate::worker::blocked::Blocked;
use crate::worker::cursor::{End, EngineTime};
use crate::worker::lanes::{Entity, entity_of};
use crate::worker::loaded::{Loaded, Slot};
use crate::worker::waited::Waited;

/// What a partition needs to know to take in a page.
pub(super) struct PageRules<'a> {
    pub(super) order: Order,
    pub(super) topic: &'a Topic,
    pub(super) partition: u16,
    /// When the page was read: its place in the order.
    pub(super) seen: Timestamp,
    /// The present of the subscription, in Unix seconds.
    pub(super) present: i64,
    pub(super) waited: &'a Waited,
    pub(super) time: EngineTime,
    /// The monotonic clock.
    pub(super) clock_millis: u64,
    /// Nothing that began since then is handed out before another look at what may have been committed meanwhile.
    pub(super) looks_back_from: Option<Timestamp>,
}

/// What to do with an entry that is taken in.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Entry {
    /// It is already being dealt with.
    Loaded,
    NoEvent,
    /// It waits for an earlier one of its entity, or for its entity's move to another partition.
    Waits,
    /// It keeps later events of its entity waiting until a second.
    WaitsUntil {
        entity: Entity,
        until: i64,
    },
    /// It has kept its place until now, and no longer keeps it.
    Postponed {
        until: i64,
    },
    /// It belongs to another partition.
    Misplaced,
    Due {
        entity: Entity,
        is_suspect: bool,
    },
}

impl PageRules<'_> {
    /// Whether the page ends before an entry; `slot` is the entry's, if its key has one.
    pub(super) fn ends_before(&self, slot: Option<Slot>, loaded: &Loaded) -> Option<End> {
        if let Some(slot) = slot {
            if slot.second > self.present {
                return Some(End::NotDue(slot.second));
            }
            // An id that no clock gave, later than the page, would make it look back for ever.
            let start = started_at(slot.id);
            if start <= self.seen && self.looks_back_from.is_some_and(|from| start >= from) {
                return Some(End::LooksBack);
            }
        }
        loaded.is_full().then_some(End::NoRoom)
    }

    pub(super) fn entry(
        &self,
        key: &[u8],
        row: &[u8],
        slot: Option<Slot>,
        loaded: &Loaded,
        blocked: &Blocked,
    ) -> Entry {
        if loaded.is_loaded(&slot.unwrap_or_else(|| Slot::of(key))) {
            return Entry::Loaded;
        }
        // One with the id of another would be stored in its place at the next attempt.
        let head = EventHead::decode(key, row).ok().filter(|head| slot.is_some_and(|slot| slot.id == head.id));
        let Some(head) = head else {
            return Entry::NoEvent;
        };
        let entity = entity_of(&head.entity);
        let keeps_place = self.order.keeps_places();
        if keeps_place
            && (blocked.blocks(entity, key)
                || self.topic.is_moving(&head.entity)
                || self.waited.blocks(entity, key, started_at(head.id), self.clock_millis))
        {
            return Entry::Waits;
        }
        // One that was already waiting when time was set back no longer waits for that.
        let until = head.not_before.map(|until| match self.waited.moment_of(key) {
            Some(moment) if moment <= self.clock_millis => self.present,
            Some(moment) => self.time.second_at(moment),
            None => until,
        });
        match until.filter(|until| *until > self.present) {
            Some(until) if keeps_place => Entry::WaitsUntil { entity, until },
            Some(until) => Entry::Postponed { until },
            // While the number of partitions changes, whoever changes it moves misplaced events.
            None if self.topic.resized_from.is_none() && self.topic.partition_of(&head.entity) != self.partition => {
                Entry::Misplaced
            }
            None => Entry::Due { entity, is_suspect: head.deaths.is_some() },
        }
    }
}

#[cfg(test)]
mod tests {
    use tito_core::event::event_id;
    use tito_core::keys;

    use super::*;

    const PRESENT: i64 = 1_000;

    fn rules(order: Order, topic: &Topic) -> PageRules<'_> {
        static NOTHING: std::sync::LazyLock<Waited> = std::sync::LazyLock::new(Waited::default);
        let seen = Timestamp::from_millis(PRESENT as u64 * 1_000 + 999);
        PageRules {
            order,
            topic,
            partition: topic.partition_of("a"),
            seen,
            present: PRESENT,
            waited: &NOTHING,
            time: EngineTime::default(),
            clock_millis: 0,
            looks_back_from: None,
        }
    }

    /// The key of an event published at one second and due at another, and its row.
    fn event(published: i64, due: i64, not_before: Option<i64>) -> (Vec<u8>, Vec<u8>) {
        let id = event_id(Timestamp::from_millis(published as u64 * 1_000), 1, 0);
        let wait = not_before.map(|second| format!(r#","not_before":{second}"#)).unwrap_or_default();
        let row = format!(r#"{{"id":"{id}","type":"job","entity":"a","action":"b","timestamp":{due}{wait}}}"#);
        (keys::event("job", 0, due, id), row.into_bytes())
    }

    fn entry(rules: &PageRules<'_>, (key, row): &(Vec<u8>, Vec<u8>), loaded: &Loaded, blocked: &Blocked) -> Entry {
        rules.entry(key, row, Slot::parse(key), loaded, blocked)
    }

    #[test]
    fn a_page_ends_where_the_future_begins() {
        let topic = Topic::unused();
        let rules = rules(Order::Relaxed, &topic);
        let ends = |due| rules.ends_before(Slot::parse(&event(900, due, None).0), &Loaded::default());
        assert_eq!((ends(PRESENT), ends(PRESENT + 1)), (None, Some(End::NotDue(PRESENT + 1))));
        assert_eq!(rules.ends_before(None, &Loaded::default()), None);
    }

    #[test]
    fn a_page_ends_before_what_began_during_the_pass() {
        let topic = Topic::unused();
        let from = Timestamp::from_millis(950_000);
        let rules = PageRules { looks_back_from: Some(from), ..rules(Order::Strict, &topic) };
        let ends = |published| rules.ends_before(Slot::parse(&event(published, 990, None).0), &Loaded::default());
        assert_eq!((ends(949), ends(950), ends(1_001)), (None, Some(End::LooksBack), None));
    }

    #[test]
    fn what_is_to_be_done_with_an_entry_follows_from_the_order() {
        let topic = Topic::unused();
        let (loaded, entity) = (Loaded::default(), entity_of("a"));
        let mut blocked = Blocked::default();
        let (due, waiting) = (event(1, 900, None), event(1, 900, Some(PRESENT + 5)));
        for order in [Order::Relaxed, Order::Strict] {
            let rules = rules(order, &topic);
            assert_eq!(entry(&rules, &due, &loaded, &blocked), Entry::Due { entity, is_suspect: false });
            let over = event(1, 900, Some(PRESENT));
            assert_eq!(entry(&rules, &over, &loaded, &blocked), Entry::Due { entity, is_suspect: false });
            let elsewhere = PageRules { partition: topic.partition_of("a") + 1, ..rules };
            assert_eq!(entry(&elsewhere, &due, &loaded, &blocked), Entry::Misplaced);
        }
        let (relaxed, strict) = (rules(Order::Relaxed, &topic), rules(Order::Strict, &topic));
        assert_eq!(entry(&relaxed, &waiting, &loaded, &blocked), Entry::Postponed { until: PRESENT + 5 });
        assert_eq!(entry(&strict, &waiting, &loaded, &blocked), Entry::WaitsUntil { entity, until: PRESENT + 5 });
        blocked.block(entity, waiting.0, PRESENT + 5);
        let later = event(2, 901, None);
        assert_eq!(entry(&strict, &later, &loaded, &blocked), Entry::Waits);
        assert_eq!(entry(&relaxed, &later, &loaded, &blocked), Entry::Due { entity, is_suspect: false });
    }

    #[test]
    fn what_is_held_or_no_event_is_not_handed_out() {
        let topic = Topic::unused();
        let rules = rules(Order::Strict, &topic);
        let (mut loaded, blocked) = (Loaded::default(), Blocked::default());
        let (key, row) = event(1, 900, None);
        for row in [&b"nonsense"[..], &event(2, 900, None).1] {
            assert_eq!(rules.entry(&key, row, Slot::parse(&key), &loaded, &blocked), Entry::NoEvent);
        }
        assert_eq!(rules.entry(b"event:", &row, None, &loaded, &blocked), Entry::NoEvent);
        loaded.load(Slot::of(&key), 1);
        assert_eq!(rules.entry(&key, &row, Slot::parse(&key), &loaded, &blocked), Entry::Loaded);
    }
}
