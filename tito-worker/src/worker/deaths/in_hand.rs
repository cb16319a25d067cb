//! The list of events in hand, which is written into the mark.

use std::collections::BTreeMap;

use tito_core::engine::Limits;

/// The list takes at most this fraction of the largest value, because each hand-out rewrites it.
const PART_OF_A_VALUE: usize = 4;

/// How many bytes the list may take in the mark.
pub(super) fn most_bytes(limits: &Limits) -> usize {
    limits.value_bytes / PART_OF_A_VALUE
}

/// How many bytes keys take in the mark.
pub(super) fn bytes_of(keys: &[Vec<u8>]) -> usize {
    // Including its quotes and comma.
    keys.iter().map(|key| key.len() + 3).sum()
}

/// The keys of the events in hand, as far as a list is kept.
#[derive(Default)]
pub(super) struct InHand {
    /// How many holders each key has.
    counts: BTreeMap<Vec<u8>, u32>,
    /// Their size in the mark; keys with several holders count several times.
    bytes: usize,
}

impl InHand {
    /// Adds keys, unless there is no room for them. Returns whether there was.
    pub(super) fn add_all(&mut self, keys: &[Vec<u8>], most_bytes: usize) -> bool {
        let bytes = self.bytes + bytes_of(keys);
        if !self.counts.is_empty() && bytes > most_bytes {
            return false;
        }
        self.bytes = bytes;
        for key in keys {
            *self.counts.entry(key.clone()).or_default() += 1;
        }
        true
    }

    pub(super) fn remove_all(&mut self, keys: &[Vec<u8>]) {
        for key in keys {
            let count = self.counts.get_mut(key).expect("what is removed was added before");
            *count -= 1;
            if *count == 0 {
                self.counts.remove(key);
            }
        }
        self.bytes -= bytes_of(keys);
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &Vec<u8>> {
        self.counts.keys()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_room_again_when_keys_are_removed() {
        let [a, b, large] = ["a", "b", "a large one"].map(|key| vec![key.as_bytes().to_vec()]);
        let mut in_hand = InHand::default();
        assert!(in_hand.add_all(&a, 8) && in_hand.add_all(&a, 8) && !in_hand.add_all(&b, 8));
        in_hand.remove_all(&a);
        assert!(in_hand.add_all(&b, 8));
        assert_eq!(in_hand.keys().collect::<Vec<_>>(), [b"a", b"b"]);
        in_hand.remove_all(&a);
        in_hand.remove_all(&b);
        assert!(in_hand.add_all(&large, 8), "alone it has to be");
        in_hand.remove_all(&large);
        assert_eq!((in_hand.keys().count(), in_hand.bytes), (0, 0));
    }
}
