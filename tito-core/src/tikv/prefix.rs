//! The engine's keys and those that are stored: a prefix of the engine's own in front.

use crate::keys::KeyRange;

/// No server takes longer keys, whatever the limits say: they are 8 KiB unless a server is configured for more.
const MOST_KEY_BYTES: usize = 64 << 10;

#[derive(Clone, Debug)]
pub(super) struct KeyPrefix {
    own: Vec<u8>,
    /// How long the engine's keys can be.
    key_bytes: usize,
}

impl KeyPrefix {
    pub(super) fn new(own: Vec<u8>, key_bytes: usize) -> Self {
        Self { own, key_bytes }
    }

    /// The key as it is given to the client.
    pub(super) fn stored(&self, key: &[u8]) -> Vec<u8> {
        [self.own.as_slice(), key].concat()
    }

    /// The range as it is given to the client, which always has an end: one without would reach past the engine's
    /// keys.
    pub(super) fn stored_range(&self, range: &KeyRange) -> KeyRange {
        let end = match &range.end {
            Some(end) => self.stored(end),
            None => self.end(),
        };
        KeyRange::new(self.stored(&range.start), end)
    }

    /// What lies past all keys of the engine.
    fn end(&self) -> Vec<u8> {
        // Where the prefix has no byte that could be one more: longer than every key, and nowhere below one.
        let past = || [self.own.as_slice(), &vec![u8::MAX; self.key_bytes.min(MOST_KEY_BYTES) + 1]].concat();
        KeyRange::prefix(self.own.clone()).end.unwrap_or_else(past)
    }

    /// The engine's key of one that the client gave. Only keys below the prefix are ever asked for.
    pub(super) fn own(&self, mut stored: Vec<u8>) -> Vec<u8> {
        if stored.starts_with(&self.own) { stored.split_off(self.own.len()) } else { stored }
    }

    /// All keys of the engine, if it has a prefix of its own: without one they can't be told from those of others.
    pub(super) fn everything(&self) -> Option<KeyRange> {
        let all = KeyRange::prefix(self.own.clone());
        all.end.is_some().then_some(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_stored_below_the_prefix_and_told_without_it() {
        let prefix = KeyPrefix::new(b"one:".to_vec(), 3);
        assert_eq!(prefix.stored(b"a"), b"one:a");
        assert_eq!(prefix.own(b"one:a".to_vec()), b"a");
        assert_eq!(prefix.stored_range(&KeyRange::new("", "b")), KeyRange::new("one:", "one:b"));
        assert_eq!(prefix.everything(), Some(KeyRange::new("one:", "one;")));
    }

    #[test]
    fn a_range_without_an_end_ends_with_the_engines_keys() {
        let all = KeyRange::prefix("");
        for (own, longest) in [(&b"one:"[..], 3), (b"", 0), (b"", 3), (b"\xff", 3), (b"a\xff", 3)] {
            let prefix = KeyPrefix::new(own.to_vec(), longest);
            let stored = prefix.stored_range(&all);
            assert!(stored.end.is_some(), "{own:?}");
            assert!(stored.contains(&prefix.stored(&vec![255; longest])), "{own:?}: the last key that can be");
            assert!(stored.contains(&prefix.stored(b"")), "{own:?}");
            assert_eq!(prefix.stored_range(&KeyRange::starting_at("x")).start, [own, b"x"].concat());
        }
        let stored = KeyPrefix::new(b"one:".to_vec(), 3).stored_range(&all);
        assert_eq!(stored, KeyRange::new("one:", "one;"), "nothing of others");
    }

    #[test]
    fn without_a_prefix_everything_is_not_ours() {
        assert_eq!(KeyPrefix::new(Vec::new(), 3).everything(), None);
        assert_eq!(KeyPrefix::new(vec![255], 3).everything(), None);
    }
}
