//! The engine's keys and those that are stored: a prefix of the engine's own in front, and the keyspace's in front of
//! that in what the cluster says.

use crate::error::KeyText;
use crate::keys::KeyRange;

/// The client puts these many bytes in front of every key of a keyspace, and takes them off again everywhere but in
/// errors.
const KEYSPACE_BYTES: usize = 4;

#[derive(Clone, Debug)]
pub(super) struct KeyPrefix {
    own: Vec<u8>,
    has_keyspace: bool,
}

impl KeyPrefix {
    pub(super) fn new(own: Vec<u8>, has_keyspace: bool) -> Self {
        Self { own, has_keyspace }
    }

    /// The key as it is given to the client.
    pub(super) fn stored(&self, key: &[u8]) -> Vec<u8> {
        [self.own.as_slice(), key].concat()
    }

    pub(super) fn stored_range(&self, range: &KeyRange) -> KeyRange {
        KeyRange { start: self.stored(&range.start), end: self.stored(&range.end) }
    }

    /// The engine's key of one that the client gave. Only keys below the prefix are ever asked for.
    pub(super) fn own(&self, mut stored: Vec<u8>) -> Vec<u8> {
        match stored.starts_with(&self.own) {
            true => stored.split_off(self.own.len()),
            false => stored,
        }
    }

    /// The engine's key of one in an error, where the client left the keyspace's bytes in front of it.
    pub(super) fn in_error(&self, key: &[u8]) -> KeyText {
        let skipped = if self.has_keyspace { KEYSPACE_BYTES.min(key.len()) } else { 0 };
        KeyText::from(self.own(key[skipped..].to_vec()))
    }

    /// All keys of the engine, if it has a prefix of its own: without one they can't be told from those of others.
    pub(super) fn everything(&self) -> Option<KeyRange> {
        let all = KeyRange::prefix(self.own.clone());
        (!all.is_empty()).then_some(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_stored_below_the_prefix_and_told_without_it() {
        let prefix = KeyPrefix::new(b"one:".to_vec(), false);
        assert_eq!(prefix.stored(b"a"), b"one:a");
        assert_eq!(prefix.own(b"one:a".to_vec()), b"a");
        assert_eq!(prefix.in_error(b"one:a").as_bytes(), b"a");
        assert_eq!(prefix.stored_range(&KeyRange::new("", "b")), KeyRange::new("one:", "one:b"));
        assert_eq!(prefix.everything(), Some(KeyRange::new("one:", "one;")));
    }

    #[test]
    fn errors_are_told_without_the_bytes_of_a_keyspace() {
        let prefix = KeyPrefix::new(b"one:".to_vec(), true);
        assert_eq!(prefix.in_error(b"x\0\0\x07one:a").as_bytes(), b"a");
        assert_eq!(prefix.in_error(b"x").as_bytes(), b"");
    }

    #[test]
    fn without_a_prefix_everything_is_not_ours() {
        assert_eq!(KeyPrefix::new(Vec::new(), false).everything(), None);
        assert_eq!(KeyPrefix::new(vec![255], false).everything(), None);
    }
}
