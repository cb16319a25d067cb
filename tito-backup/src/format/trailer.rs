//! The end of a backup: how much there has to be before it.

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::u64_at;

/// The first byte of the trailer.
pub(crate) const TRAILER: u8 = b'T';

/// All of it.
pub(crate) const TRAILER_BYTES: usize = 41;

/// What a backup comes to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Trailer {
    pub(crate) blocks: u64,
    pub(crate) entries: u64,
    /// Of keys and values.
    pub(crate) bytes: u64,
    /// The checksum over those of all blocks.
    pub(crate) sum: u64,
}

impl Trailer {
    pub(crate) fn encode(self, seed: u64) -> Vec<u8> {
        let mut bytes = vec![TRAILER];
        for number in [self.blocks, self.entries, self.bytes, self.sum] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        let checksum = xxh3_64_with_seed(&bytes, seed);
        bytes.extend_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// What the bytes say, if they are as they were written.
    pub(crate) fn decode(bytes: &[u8], seed: u64) -> Option<Self> {
        let checked = bytes.get(..TRAILER_BYTES - 8)?;
        let is_whole = u64_at(bytes, TRAILER_BYTES - 8)? == xxh3_64_with_seed(checked, seed);
        let number = |position: usize| u64_at(bytes, 1 + 8 * position);
        let read = Self { blocks: number(0)?, entries: number(1)?, bytes: number(2)?, sum: number(3)? };
        is_whole.then_some(read)
    }
}
