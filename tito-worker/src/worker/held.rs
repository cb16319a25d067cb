//! The events of a partition that are in memory: read, and their outcome not recorded yet.

use foldhash::{HashMap, HashSet};
use tito_core::keys;
use uuid::Uuid;
use xxhash_rust::xxh3::xxh3_128;

/// How many events a partition holds, and how many bytes of them as they are stored.
const MOST_EVENTS: usize = 2_048;
const MOST_BYTES: usize = 8 << 20;

/// An event's place within its partition: the second that it is due and its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Place {
    pub(super) second: i64,
    pub(super) id: Uuid,
}

impl Place {
    /// `None` for a key that is no event's.
    pub(super) fn parse(key: &[u8]) -> Option<Self> {
        keys::parse_event_second_and_id(key).map(|(second, id)| Self { second, id })
    }

    /// The place of a key that may be no event's, which is set aside: it gets one that no event has.
    pub(super) fn of(key: &[u8]) -> Self {
        Self::parse(key).unwrap_or_else(|| Self { second: i64::MAX, id: Uuid::from_u128(xxh3_128(key)) })
    }
}

#[derive(Default)]
pub(super) struct Held {
    sizes: HashMap<Place, usize>,
    bytes: usize,
    /// Events that were released while a page was being read, which may still show them.
    settled: HashSet<Place>,
}

impl Held {
    /// Whether reading another page is worth it.
    pub(super) fn has_room(&self) -> bool {
        self.sizes.len() < MOST_EVENTS / 4 * 3 && self.bytes < MOST_BYTES / 4 * 3
    }

    pub(super) fn is_full(&self) -> bool {
        self.sizes.len() >= MOST_EVENTS || self.bytes >= MOST_BYTES
    }

    pub(super) fn is_empty(&self) -> bool {
        self.sizes.is_empty()
    }

    /// Whether an event that a page shows is held already, or was released since the page was read.
    pub(super) fn is_held(&self, place: &Place) -> bool {
        self.settled.contains(place) || self.sizes.contains_key(place)
    }

    /// Holds an event that is not held yet.
    pub(super) fn hold(&mut self, place: Place, size: usize) {
        self.bytes += size;
        self.bytes -= self.sizes.insert(place, size).unwrap_or(0);
    }

    /// Lets go of an event. With `is_reading` a page that is being read may show it still.
    pub(super) fn release(&mut self, key: &[u8], is_reading: bool) {
        let place = Place::of(key);
        self.bytes -= self.sizes.remove(&place).unwrap_or(0);
        if is_reading {
            self.settled.insert(place);
        }
    }

    /// Forgets what pages that have been read by now may have shown.
    pub(super) fn settle(&mut self) {
        self.settled.clear();
    }

    /// The second of the first event that is held.
    pub(super) fn first_second(&self) -> Option<i64> {
        self.sizes.keys().map(|place| place.second).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u128) -> Vec<u8> {
        keys::event("user", 3, 1_000 + number as i64, Uuid::from_u128(number))
    }

    fn place(number: u128) -> Place {
        Place::of(&key(number))
    }

    #[test]
    fn an_event_is_held_until_it_is_released() {
        let mut held = Held::default();
        assert!(!held.is_held(&place(1)));
        held.hold(place(1), 10);
        assert!(held.is_held(&place(1)));
        assert_eq!(held.first_second(), Some(1_001));
        held.release(&key(1), false);
        assert!(held.is_empty() && !held.is_held(&place(1)));
    }

    #[test]
    fn an_event_that_was_released_during_a_read_is_not_held_again_by_its_page() {
        let mut held = Held::default();
        held.hold(place(1), 10);
        held.release(&key(1), true);
        assert!(held.is_held(&place(1)));
        held.settle();
        assert!(!held.is_held(&place(1)));
    }

    #[test]
    fn few_large_events_fill_it_as_many_small_ones_do() {
        let mut held = Held::default();
        held.hold(place(1), MOST_BYTES);
        assert!(held.is_full() && !held.has_room());
        held.release(&key(1), false);
        assert!(held.has_room());
        for number in 0..MOST_EVENTS as u128 {
            held.hold(place(number), 1);
        }
        assert!(held.is_full());
    }

    #[test]
    fn keys_that_are_no_events_are_held_apart() {
        let mut held = Held::default();
        held.hold(Place::of(b"event:user:0003:nonsense"), 1);
        assert!(!held.is_held(&Place::of(b"event:user:0003:other nonsense")));
    }
}
