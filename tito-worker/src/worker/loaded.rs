//! The events of a partition that are in memory: read, with their outcome not recorded yet.

use foldhash::{HashMap, HashSet};
use uuid::Uuid;
use xxhash_rust::xxh3::xxh3_128;

use crate::keys;

/// How many events a partition holds, and how many bytes of them in stored form.
const MOST_EVENTS: usize = 2_048;
const MOST_BYTES: usize = 8 << 20;

/// An event's slot within its partition: its due second and its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Slot {
    pub(super) second: i64,
    pub(super) id: Uuid,
}

impl Slot {
    /// `None` for a key that is not an event's.
    pub(super) fn parse(key: &[u8]) -> Option<Self> {
        keys::parse_event_second_and_id(key).map(|(second, id)| Self { second, id })
    }

    /// The slot of a key that may not be an event's, and goes to the dead letters: it gets one that no event has.
    pub(super) fn of(key: &[u8]) -> Self {
        Self::parse(key).unwrap_or_else(|| Self { second: i64::MAX, id: Uuid::from_u128(xxh3_128(key)) })
    }
}

#[derive(Default)]
pub(super) struct Loaded {
    sizes: HashMap<Slot, usize>,
    bytes: usize,
    /// Events released while a page was being read, which may still show them.
    settled: HashSet<Slot>,
}

impl Loaded {
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

    /// Whether an event in a page is already loaded, or was released since the page was read.
    pub(super) fn is_loaded(&self, slot: &Slot) -> bool {
        self.settled.contains(slot) || self.sizes.contains_key(slot)
    }

    /// Whether an event was released since the page that shows it was read: what is stored now may be different.
    pub(super) fn was_released(&self, slot: &Slot) -> bool {
        self.settled.contains(slot)
    }

    /// Loads an event that isn't loaded yet.
    pub(super) fn load(&mut self, slot: Slot, size: usize) {
        self.bytes += size;
        self.bytes -= self.sizes.insert(slot, size).unwrap_or(0);
    }

    /// Releases an event. With `is_reading`, a page that is being read may still show it.
    pub(super) fn release(&mut self, key: &[u8], is_reading: bool) {
        let slot = Slot::of(key);
        self.bytes -= self.sizes.remove(&slot).unwrap_or(0);
        if is_reading {
            self.settled.insert(slot);
        }
    }

    /// Forgets what may have been in pages that have been read by now.
    pub(super) fn settle(&mut self) {
        self.settled.clear();
    }

    /// The second of the first loaded event.
    pub(super) fn first_second(&self) -> Option<i64> {
        self.sizes.keys().map(|slot| slot.second).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u128) -> Vec<u8> {
        keys::event("user", 3, 1_000 + number as i64, Uuid::from_u128(number))
    }

    fn slot(number: u128) -> Slot {
        Slot::of(&key(number))
    }

    #[test]
    fn an_event_is_held_until_it_is_released() {
        let mut loaded = Loaded::default();
        assert!(!loaded.is_loaded(&slot(1)));
        loaded.load(slot(1), 10);
        assert!(loaded.is_loaded(&slot(1)));
        assert_eq!(loaded.first_second(), Some(1_001));
        loaded.release(&key(1), false);
        assert!(loaded.is_empty() && !loaded.is_loaded(&slot(1)));
    }

    #[test]
    fn an_event_that_was_released_during_a_read_is_not_held_again_by_its_page() {
        let mut loaded = Loaded::default();
        loaded.load(slot(1), 10);
        loaded.release(&key(1), true);
        assert!(loaded.is_loaded(&slot(1)));
        loaded.settle();
        assert!(!loaded.is_loaded(&slot(1)));
    }

    #[test]
    fn few_large_events_fill_it_as_many_small_ones_do() {
        let mut loaded = Loaded::default();
        loaded.load(slot(1), MOST_BYTES);
        assert!(loaded.is_full() && !loaded.has_room());
        loaded.release(&key(1), false);
        assert!(loaded.has_room());
        for number in 0..MOST_EVENTS as u128 {
            loaded.load(slot(number), 1);
        }
        assert!(loaded.is_full());
    }

    #[test]
    fn keys_that_are_no_events_are_held_apart() {
        let mut loaded = Loaded::default();
        loaded.load(Slot::of(b"event:user:0003:nonsense"), 1);
        assert!(!loaded.is_loaded(&Slot::of(b"event:user:0003:other nonsense")));
    }
}
