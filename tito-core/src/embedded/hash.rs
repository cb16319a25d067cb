//! Hashes of keys, and collections by them.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};

use xxhash_rust::xxh3::xxh3_64;

/// The hash of a key. Two keys can have the same hash, and code that uses it has to be correct then too.
pub(super) type KeyHash = u64;

pub(super) fn hash_key(key: &[u8]) -> KeyHash {
    xxh3_64(key)
}

pub(super) type HashedMap<V> = HashMap<KeyHash, V, BuildHasherDefault<Hashed>>;
pub(super) type HashedSet = HashSet<KeyHash, BuildHasherDefault<Hashed>>;

/// Passes on what is hashed already.
#[derive(Default)]
pub(super) struct Hashed(u64);

impl Hasher for Hashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = xxh3_64(bytes);
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}
