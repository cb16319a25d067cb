//! A block: some entries, in the order of their keys.

use tito_core::engine::{KeyValue, PackedRows};
use xxhash_rust::xxh3::{Xxh3, xxh3_64_with_seed};

use super::{u32_at, u64_at};

/// The first byte of a block.
pub(crate) const BLOCK: u8 = b'B';

/// How many rows a block has at most.
pub(crate) const MOST_ENTRIES: usize = 16_384;

/// How many bytes of keys and values blocks of several rows have at most. One row alone can have twice as many: no engine
/// takes a longer key or value.
pub(crate) const MOST_BYTES: usize = 1 << 30;

/// What stands before the entries, with the first byte.
pub(crate) const HEAD_BYTES: usize = 21;

/// How much of it its own checksum covers.
const CHECKED_BYTES: usize = 17;

/// What a block says of itself before its entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BlockHead {
    /// From 1.
    pub(crate) number: u64,
    pub(crate) entries: u32,
    /// Bytes of the entries.
    pub(crate) length: u32,
}

impl BlockHead {
    /// How many bytes the rows can have at most, being so many.
    pub(crate) fn most_length(self) -> usize {
        let lengths = 8 * self.entries as usize;
        lengths + if self.entries > 1 { MOST_BYTES } else { 2 * MOST_BYTES }
    }

    fn encode(self, seed: u64) -> Vec<u8> {
        let mut head = vec![BLOCK];
        head.extend_from_slice(&self.number.to_le_bytes());
        head.extend_from_slice(&self.entries.to_le_bytes());
        head.extend_from_slice(&self.length.to_le_bytes());
        let check = xxh3_64_with_seed(&head, seed) as u32;
        head.extend_from_slice(&check.to_le_bytes());
        head
    }

    /// What the bytes say, if they are as they were written.
    pub(crate) fn decode(head: &[u8], seed: u64) -> Option<Self> {
        let (checked, _) = head.split_at_checked(CHECKED_BYTES)?;
        let is_whole = u32_at(head, CHECKED_BYTES)? == xxh3_64_with_seed(checked, seed) as u32;
        let read = Self { number: u64_at(head, 1)?, entries: u32_at(head, 9)?, length: u32_at(head, 13)? };
        is_whole.then_some(read)
    }
}

/// What stands before and behind the packed rows of a block: its head, and the checksum of both.
pub(crate) fn around_block(number: u64, rows: &PackedRows, seed: u64) -> (Vec<u8>, u64) {
    let head = BlockHead { number, entries: rows.len() as u32, length: rows.packed().len() as u32 }.encode(seed);
    let mut sum = Xxh3::with_seed(seed);
    sum.update(&head);
    sum.update(rows.packed());
    (head, sum.digest())
}

/// The entries of a block, if they are what its head says.
pub(crate) fn entries_of(mut rest: &[u8], count: u32) -> Option<Vec<KeyValue>> {
    let mut entries = Vec::new();
    for _ in 0..count {
        let lengths = (u32_at(rest, 0)? as usize, u32_at(rest, 4)? as usize);
        let (key, after) = rest[8..].split_at_checked(lengths.0)?;
        let (value, after) = after.split_at_checked(lengths.1)?;
        entries.push((key.to_vec(), value.to_vec()));
        rest = after;
    }
    rest.is_empty().then_some(entries)
}
