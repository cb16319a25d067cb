//! Rows in one buffer.

use std::ops::Range;

use super::contract::KeyValue;

/// What stands before each row: the lengths of its key and its value.
const LENGTHS: usize = 8;

/// Rows one after another in one buffer, so that reading many of them allocates nothing for each: the lengths of key and
/// value as two little-endian `u32`, then both.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PackedRows {
    bytes: Vec<u8>,
    rows: usize,
    /// Where the last key lies.
    last: Range<usize>,
}

impl PackedRows {
    /// No rows, with room for so many bytes of keys, values and their lengths.
    pub fn with_capacity(bytes: usize) -> Self {
        Self { bytes: Vec::with_capacity(bytes), ..Self::default() }
    }

    /// Adds a row behind the others.
    pub fn push(&mut self, key: &[u8], value: &[u8]) {
        let length = |bytes: &[u8]| u32::try_from(bytes.len()).expect("no engine takes keys or values of 4 GiB");
        self.bytes.reserve(LENGTHS + key.len() + value.len());
        self.bytes.extend_from_slice(&length(key).to_le_bytes());
        self.bytes.extend_from_slice(&length(value).to_le_bytes());
        let begin = self.bytes.len();
        self.bytes.extend_from_slice(key);
        self.last = begin..self.bytes.len();
        self.bytes.extend_from_slice(value);
        self.rows += 1;
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.rows
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// The key of the last row.
    pub fn last_key(&self) -> Option<&[u8]> {
        (self.rows > 0).then(|| &self.bytes[self.last.clone()])
    }

    /// All rows as they lie in the buffer.
    pub fn packed(&self) -> &[u8] {
        &self.bytes
    }

    /// How many bytes their keys and values have.
    pub fn content_bytes(&self) -> usize {
        self.bytes.len() - LENGTHS * self.rows
    }
}

impl FromIterator<KeyValue> for PackedRows {
    fn from_iter<I: IntoIterator<Item = KeyValue>>(rows: I) -> Self {
        let mut packed = Self::default();
        for (key, value) in rows {
            packed.push(&key, &value);
        }
        packed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_lie_one_after_another() {
        let mut rows = PackedRows::with_capacity(10);
        assert_eq!((rows.len(), rows.is_empty(), rows.last_key(), rows.content_bytes()), (0, true, None, 0));
        rows.push(b"a", b"12");
        rows.push(b"bc", b"");
        assert_eq!((rows.len(), rows.is_empty(), rows.content_bytes()), (2, false, 5));
        assert_eq!(rows.last_key(), Some(&b"bc"[..]));
        assert_eq!(rows.packed(), b"\x01\0\0\0\x02\0\0\0a12\x02\0\0\0\0\0\0\0bc");
        let same = [(b"a".to_vec(), b"12".to_vec()), (b"bc".to_vec(), Vec::new())];
        assert_eq!(PackedRows::from_iter(same), rows);
    }
}
