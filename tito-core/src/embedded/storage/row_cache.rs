//! Values of the database file that were asked for by themselves: the rows that many transactions read, such as an event
//! store's definition. Reading the file needs another thread, the cache does not.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// No more keys than this, and none that is larger than [`LARGEST`] with its value: at most 1 MiB.
const MOST: usize = 1_024;
const LARGEST: usize = 1_024;

/// Values of one state of the file, which does not change. Its successor begins with none.
#[derive(Default)]
pub(super) struct RowCache(Mutex<HashMap<Vec<u8>, Option<Vec<u8>>>>);

impl RowCache {
    /// `Some(None)` if it is known that the key has no value.
    pub(super) fn get(&self, key: &[u8]) -> Option<Option<Vec<u8>>> {
        self.lock().get(key).cloned()
    }

    pub(super) fn insert(&self, key: &[u8], value: Option<&[u8]>) {
        if key.len() + value.map_or(0, <[u8]>::len) > LARGEST {
            return;
        }
        let mut rows = self.lock();
        if rows.len() == MOST {
            // What is asked for often is soon here again.
            rows.clear();
        }
        rows.insert(key.to_vec(), value.map(<[u8]>::to_vec));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Vec<u8>, Option<Vec<u8>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_what_was_read_and_stays_small() {
        let cache = RowCache::default();
        let key = |number: usize| format!("{number:04}").into_bytes();
        for number in 0..=MOST {
            cache.insert(&key(number), (number % 2 == 1).then_some(b"value"));
            assert_eq!(cache.get(&key(number)), Some((number % 2 == 1).then(|| b"value".to_vec())));
            assert!(cache.lock().len() <= MOST);
        }
        assert_eq!(cache.get(&key(MOST + 1)), None);
        cache.insert(b"large", Some(&[0; LARGEST]));
        assert_eq!(cache.get(b"large"), None);
    }
}
