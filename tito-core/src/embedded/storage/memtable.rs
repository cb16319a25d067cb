//! Recent commits that are in the log but not in the database file yet: sorted, in memory, with versions.

use std::collections::{BTreeMap, btree_map};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{PoisonError, RwLock, RwLockReadGuard};

use crate::embedded::hash::{HashedSet, hash_key};
use crate::embedded::store::Write;
use crate::engine::Direction;
use crate::keys::KeyRange;

/// How many entries a scan copies at a time; the table is locked for that long.
const CHUNK: usize = 64;

/// What an entry costs in addition to its key and value: nodes, versions, allocations. Measured as 130 to 160 bytes.
const ENTRY_OVERHEAD: usize = 150;

/// Committed writes, each with the version that it came in. A reader at version `v` sees what is not newer.
#[derive(Default)]
pub(super) struct Memtable {
    entries: RwLock<Entries>,
    bytes: AtomicUsize,
    latest_version: AtomicU64,
}

#[derive(Default)]
struct Entries {
    by_key: BTreeMap<Vec<u8>, Versions>,
    /// The keys' hashes, which rule out an absent key at a tenth of the cost of a search: every insert asks for one.
    hashes: HashedSet,
}

struct Versions {
    latest: Version,
    /// Oldest first. Hardly any key is written twice before its table is flushed, so this is mostly empty.
    older: Vec<Version>,
}

struct Version {
    at: u64,
    value: Option<Vec<u8>>,
}

impl Versions {
    fn visible(&self, at: u64) -> Option<&Version> {
        let all = std::iter::once(&self.latest).chain(self.older.iter().rev());
        all.into_iter().find(|version| version.at <= at)
    }
}

impl Memtable {
    /// Adds the writes of version `at`, which is newer than all before.
    pub(super) fn add(&self, writes: Vec<Write>, at: u64) {
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        let entries = &mut *entries;
        let mut bytes = 0;
        for (key, value) in writes {
            bytes += key.len() + value.as_ref().map_or(0, Vec::len) + ENTRY_OVERHEAD;
            let latest = Version { at, value };
            let hash = hash_key(&key);
            match entries.by_key.entry(key) {
                btree_map::Entry::Vacant(entry) => {
                    entries.hashes.insert(hash);
                    entry.insert(Versions { latest, older: Vec::new() });
                }
                btree_map::Entry::Occupied(mut entry) => {
                    let versions = entry.get_mut();
                    let before = std::mem::replace(&mut versions.latest, latest);
                    versions.older.push(before);
                }
            }
        }
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.latest_version.store(at, Ordering::Relaxed);
    }

    /// About how much memory the table takes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// What the table says of a key at version `at`: `Some(None)` if it was deleted.
    pub(super) fn get(&self, key: &[u8], at: u64) -> Option<Option<Vec<u8>>> {
        let entries = self.read();
        if !entries.hashes.contains(&hash_key(key)) {
            return None;
        }
        entries.by_key.get(key)?.visible(at).map(|version| version.value.clone())
    }

    /// The version in which a key was last written, as seen at version `at`, if it was written here.
    pub(super) fn written_at(&self, key: &[u8], at: u64) -> Option<u64> {
        let entries = self.read();
        if !entries.hashes.contains(&hash_key(key)) {
            return None;
        }
        entries.by_key.get(key)?.visible(at).map(|version| version.at)
    }

    /// The version of the latest writes; 0 of an empty table.
    pub(super) fn latest_version(&self) -> u64 {
        self.latest_version.load(Ordering::Relaxed)
    }

    /// The entries of a range that are visible at version `at`.
    pub(super) fn range<'a>(
        &'a self,
        range: &KeyRange,
        direction: Direction,
        at: u64,
    ) -> impl Iterator<Item = Write> + use<'a> {
        Chunks { table: self, left: Some(range.clone()), direction, at }.flatten()
    }

    /// Calls `f` with the latest version of every entry, in order, until it fails.
    pub(super) fn for_each_latest<E>(&self, mut f: impl FnMut(&[u8], Option<&[u8]>) -> Result<(), E>) -> Result<(), E> {
        self.read().by_key.iter().try_for_each(|(key, versions)| f(key, versions.latest.value.as_deref()))
    }

    fn read(&self) -> RwLockReadGuard<'_, Entries> {
        self.entries.read().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Copies a range piece by piece, so that a scan does not keep commits waiting.
struct Chunks<'a> {
    table: &'a Memtable,
    left: Option<KeyRange>,
    direction: Direction,
    at: u64,
}

impl Iterator for Chunks<'_> {
    type Item = Vec<Write>;

    fn next(&mut self) -> Option<Vec<Write>> {
        let left = self.left.take().filter(|left| !left.is_empty())?;
        let entries = self.table.read();
        let mut range = entries.by_key.range::<[u8], _>(left.bounds());
        let mut chunk = Vec::new();
        for _ in 0..CHUNK {
            let next = match self.direction {
                Direction::Ascending => range.next(),
                Direction::Descending => range.next_back(),
            };
            let Some((key, versions)) = next else { return Some(chunk) };
            if let Some(version) = versions.visible(self.at) {
                chunk.push((key.clone(), version.value.clone()));
            }
        }
        let rest = match self.direction {
            Direction::Ascending => range.next().map(|(key, _)| KeyRange { start: key.clone(), end: left.end.clone() }),
            // The end is excluded, so it lies just past the next key.
            Direction::Descending => range.next_back().map(|(key, _)| {
                let mut end = key.clone();
                end.push(0);
                KeyRange::new(left.start.clone(), end)
            }),
        };
        self.left = rest;
        Some(chunk)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(number: u32, value: Option<&str>) -> Write {
        (format!("{number:04}").into_bytes(), value.map(|value| value.as_bytes().to_vec()))
    }

    #[test]
    fn readers_see_their_version() {
        let table = Memtable::default();
        table.add(vec![write(1, Some("first"))], 1);
        table.add(vec![write(1, None), write(2, Some("second"))], 2);
        table.add(vec![write(1, Some("third"))], 3);
        let get = |number: u32, at| table.get(format!("{number:04}").as_bytes(), at);
        assert_eq!(get(1, 0), None);
        assert_eq!(get(1, 1), Some(Some(b"first".to_vec())));
        assert_eq!(get(1, 2), Some(None));
        assert_eq!(get(1, 9), Some(Some(b"third".to_vec())));
        assert_eq!(get(2, 1), None);
        assert_eq!(get(3, 9), None);
    }

    #[test]
    fn ranges_longer_than_a_chunk_are_whole_in_both_directions() {
        let table = Memtable::default();
        let numbers: Vec<u32> = (0..CHUNK as u32 * 3 + 5).collect();
        table.add(numbers.iter().map(|&number| write(number, Some("seen"))).collect(), 1);
        table.add(numbers.iter().map(|&number| write(number * 2 + 1, Some("new"))).collect(), 2);
        let range = KeyRange::new("0001", "0190");
        let expected: Vec<Write> = (1..190).map(|number| write(number, Some("seen"))).collect();
        assert_eq!(table.range(&range, Direction::Ascending, 1).collect::<Vec<_>>(), expected);
        let descending: Vec<Write> = table.range(&range, Direction::Descending, 1).collect();
        assert_eq!(descending, expected.into_iter().rev().collect::<Vec<_>>());
    }
}
