//! The engine's keys and those that are stored: a prefix of the engine's own in front, and the keyspace's in front of
//! that in what the cluster says.

use tito_core::KeyText;
use tito_core::keys::KeyRange;

/// The client puts these many bytes in front of every key of a keyspace, and takes them off again everywhere but in
/// errors.
const KEYSPACE_BYTES: usize = 4;

/// No server takes longer keys, whatever the limits say: they are 8 KiB unless a server is configured for more.
const MOST_KEY_BYTES: usize = 64 << 10;

#[derive(Clone, Debug)]
pub(super) struct KeyPrefix {
    own: Vec<u8>,
    has_keyspace: bool,
    /// How long the engine's keys can be.
    key_bytes: usize,
}

impl KeyPrefix {
    pub(super) fn new(own: Vec<u8>, has_keyspace: bool, key_bytes: usize) -> Self {
        Self { own, has_keyspace, key_bytes }
    }

    /// The key as it is given to the client.
    pub(super) fn stored(&self, key: &[u8]) -> Vec<u8> {
        [self.own.as_slice(), key].concat()
    }

    /// The range as it is given to the client, which always has an end: one without would reach past the engine's
    /// keys, and the client's reverse scan finds no region for it.
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

    /// The engine's key of one in an error, where the client left the keyspace's bytes in front of it.
    pub(super) fn in_error(&self, key: &[u8]) -> KeyText {
        let skipped = if self.has_keyspace { KEYSPACE_BYTES.min(key.len()) } else { 0 };
        KeyText::from(self.own(key[skipped..].to_vec()))
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
        let prefix = KeyPrefix::new(b"one:".to_vec(), false, 3);
        assert_eq!(prefix.stored(b"a"), b"one:a");
        assert_eq!(prefix.own(b"one:a".to_vec()), b"a");
        assert_eq!(prefix.in_error(b"one:a").as_bytes(), b"a");
        assert_eq!(prefix.stored_range(&KeyRange::new("", "b")), KeyRange::new("one:", "one:b"));
        assert_eq!(prefix.everything(), Some(KeyRange::new("one:", "one;")));
    }

    #[test]
    fn a_range_without_an_end_ends_with_the_engines_keys() {
        let all = KeyRange::prefix("");
        for (own, longest) in [(&b"one:"[..], 3), (b"", 0), (b"", 3), (b"\xff", 3), (b"a\xff", 3)] {
            let prefix = KeyPrefix::new(own.to_vec(), false, longest);
            let stored = prefix.stored_range(&all);
            assert!(stored.end.is_some(), "{own:?}");
            assert!(stored.contains(&prefix.stored(&vec![255; longest])), "{own:?}: the last key that can be");
            assert!(stored.contains(&prefix.stored(b"")), "{own:?}");
            assert_eq!(prefix.stored_range(&KeyRange::starting_at("x")).start, [own, b"x"].concat());
        }
        let stored = KeyPrefix::new(b"one:".to_vec(), false, 3).stored_range(&all);
        assert_eq!(stored, KeyRange::new("one:", "one;"), "nothing of others");
    }

    #[test]
    fn errors_are_told_without_the_bytes_of_a_keyspace() {
        let prefix = KeyPrefix::new(b"one:".to_vec(), true, 3);
        assert_eq!(prefix.in_error(b"x\0\0\x07one:a").as_bytes(), b"a");
        assert_eq!(prefix.in_error(b"x").as_bytes(), b"");
    }

    #[test]
    fn without_a_prefix_everything_is_not_ours() {
        assert_eq!(KeyPrefix::new(Vec::new(), false, 3).everything(), None);
        assert_eq!(KeyPrefix::new(vec![255], false, 3).everything(), None);
    }
}
