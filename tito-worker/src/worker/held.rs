//! The events of a partition that are in memory: read, and their outcome not recorded yet.

use std::collections::{HashMap, HashSet};

use tito_core::keys;
use uuid::Uuid;
use xxhash_rust::xxh3::xxh3_128;

/// How many events a partition holds, and how many bytes of them as they are stored.
const MOST_EVENTS: usize = 2_048;
const MOST_BYTES: usize = 8 << 20;

/// An event's place within its partition: the second that it is due and its id.
type Place = (i64, Uuid);

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
    pub(super) fn is_held(&self, key: &[u8]) -> bool {
        let place = place_of(key);
        self.settled.contains(&place) || self.sizes.contains_key(&place)
    }

    /// Holds an event that a page shows, unless it is held already or was released since the page was read.
    pub(super) fn hold(&mut self, key: &[u8], size: usize) -> bool {
        let place = place_of(key);
        if self.settled.contains(&place) || self.sizes.contains_key(&place) {
            return false;
        }
        self.sizes.insert(place, size);
        self.bytes += size;
        true
    }

    /// Lets go of an event. With `is_reading` a page that is being read may show it still.
    pub(super) fn release(&mut self, key: &[u8], is_reading: bool) {
        let place = place_of(key);
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
        self.sizes.keys().map(|(second, _)| *second).min()
    }
}

/// The place of an event. A key that is no event's, which is set aside, gets one that no event has.
fn place_of(key: &[u8]) -> Place {
    match keys::parse_event(key) {
        Some(place) => (place.seconds, place.id),
        None => (i64::MAX, Uuid::from_u128(xxh3_128(key))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u128) -> Vec<u8> {
        keys::event("user", 3, 1_000 + number as i64, Uuid::from_u128(number))
    }

    #[test]
    fn an_event_is_held_once_until_it_is_released() {
        let mut held = Held::default();
        assert!(held.hold(&key(1), 10));
        assert!(!held.hold(&key(1), 10));
        held.release(&key(1), false);
        assert!(held.is_empty());
        assert!(held.hold(&key(1), 10));
        assert_eq!(held.first_second(), Some(1_001));
    }

    #[test]
    fn an_event_that_was_released_during_a_read_is_not_held_again_by_its_page() {
        let mut held = Held::default();
        held.hold(&key(1), 10);
        held.release(&key(1), true);
        assert!(!held.hold(&key(1), 10));
        held.settle();
        assert!(held.hold(&key(1), 10));
    }

    #[test]
    fn few_large_events_fill_it_as_many_small_ones_do() {
        let mut held = Held::default();
        held.hold(&key(1), MOST_BYTES);
        assert!(held.is_full() && !held.has_room());
        held.release(&key(1), false);
        assert!(held.has_room());
        for number in 0..MOST_EVENTS as u128 {
            assert!(held.hold(&key(number), 1));
        }
        assert!(held.is_full());
    }

    #[test]
    fn keys_that_are_no_events_are_held_apart() {
        let mut held = Held::default();
        assert!(held.hold(b"event:user:0003:nonsense", 1));
        assert!(held.hold(b"event:user:0003:other nonsense", 1));
    }
}
