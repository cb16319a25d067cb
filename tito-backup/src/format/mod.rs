//! The bytes of a backup, as `docs/format.md` specifies them: a header, blocks of entries, a trailer. Numbers are
//! little-endian.
//!
//! Every checksum but the header's own has that as its seed, so that a piece of one backup is none of another.

mod block;
mod header;
mod trailer;

pub(crate) use block::{BLOCK, BlockHead, HEAD_BYTES, MOST_BYTES, MOST_ENTRIES, around_block, entries_of};
pub use header::Header;
pub(crate) use header::{FORMAT, MAGIC, MOST_HEADER_BYTES};
pub(crate) use trailer::{TRAILER, TRAILER_BYTES, Trailer};

/// What a checksum takes at the end of a piece.
pub(crate) const CHECKSUM_BYTES: usize = 8;

/// A number of a fixed length at a place of bytes that are known to be long enough.
fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

#[cfg(test)]
mod tests;
