//! Frames of a log segment: one group of writes each. `docs/format.md` specifies them.

use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use crate::embedded::store::Write;
use crate::timestamp::Timestamp;

/// Mark, length of the payload, checksum of the length, checksum of the payload.
pub(super) const HEADER: usize = 8 + 4 + 4 + 8;

/// Instead of a value's length: the key is deleted.
const DELETED: u32 = u32::MAX;

/// The mark at the start of every frame of a segment. It differs from segment to segment, so that leftovers from an
/// earlier use of the disk are not taken for frames.
pub(super) fn mark_of(segment: u64) -> [u8; 8] {
    xxh3_64_with_seed(b"tito log frame", segment).to_le_bytes()
}

/// The length of the frame for a group of this many writes, with this many bytes of keys and values.
pub(super) fn length_of(writes: usize, bytes: usize) -> usize {
    HEADER + 8 + 4 + 8 * writes + bytes
}

/// Writes a group as one frame into `out`, which is cleared before.
pub(super) fn encode(mark: [u8; 8], writes: &[Write], reserved: Timestamp, out: &mut Vec<u8>) {
    out.clear();
    out.resize(HEADER, 0);
    out.extend_from_slice(&reserved.raw().to_le_bytes());
    // Lengths fit: limits keep keys, values and transactions far below 4 GiB, and groups are bounded too.
    out.extend_from_slice(&(writes.len() as u32).to_le_bytes());
    for (key, value) in writes {
        out.extend_from_slice(&(key.len() as u32).to_le_bytes());
        out.extend_from_slice(&value.as_ref().map_or(DELETED, |value| value.len() as u32).to_le_bytes());
        out.extend_from_slice(key);
        out.extend_from_slice(value.as_deref().unwrap_or_default());
    }
    let length = ((out.len() - HEADER) as u32).to_le_bytes();
    let payload_sum = xxh3_64(&out[HEADER..]).to_le_bytes();
    out[..8].copy_from_slice(&mark);
    out[8..12].copy_from_slice(&length);
    out[12..16].copy_from_slice(&length_sum(mark, length));
    out[16..HEADER].copy_from_slice(&payload_sum);
}

fn length_sum(mark: [u8; 8], length: [u8; 4]) -> [u8; 4] {
    let [a, b, c, d, ..] = xxh3_64_with_seed(&length, u64::from_le_bytes(mark)).to_le_bytes();
    [a, b, c, d]
}

/// A frame as it was read.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) writes: Vec<Write>,
    pub(super) reserved: Timestamp,
    /// How many bytes it took.
    pub(super) length: usize,
}

/// The frame at the beginning of `bytes`; `None` if there is no whole and undamaged one.
pub(super) fn decode(mark: [u8; 8], bytes: &[u8]) -> Option<Frame> {
    let mut header = Reader(bytes.get(..HEADER)?);
    if header.array::<8>()? != mark {
        return None;
    }
    let length = header.array::<4>()?;
    if header.array::<4>()? != length_sum(mark, length) {
        return None;
    }
    let length = HEADER + u32::from_le_bytes(length) as usize;
    let payload = bytes.get(HEADER..length)?;
    if header.array::<8>()? != xxh3_64(payload).to_le_bytes() {
        return None;
    }
    let mut payload = Reader(payload);
    let reserved = Timestamp::from_raw(u64::from_le_bytes(payload.array()?));
    let count = u32::from_le_bytes(payload.array()?);
    let mut writes = Vec::new();
    for _ in 0..count {
        let key_length = u32::from_le_bytes(payload.array()?);
        let value_length = u32::from_le_bytes(payload.array()?);
        let key = payload.take(key_length as usize)?.to_vec();
        let value = match value_length {
            DELETED => None,
            length => Some(payload.take(length as usize)?.to_vec()),
        };
        writes.push((key, value));
    }
    payload.0.is_empty().then_some(Frame { writes, reserved, length })
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn group() -> Vec<Write> {
        vec![(b"a".to_vec(), Some(b"1".to_vec())), (Vec::new(), None), (b"empty".to_vec(), Some(Vec::new()))]
    }

    #[test]
    fn a_frame_is_read_as_it_was_written() {
        let mut bytes = Vec::new();
        encode(mark_of(7), &group(), Timestamp::from_raw(99), &mut bytes);
        let length = bytes.len();
        assert_eq!(length, length_of(3, "a1empty".len()));
        bytes.extend_from_slice(b"more");
        let frame = decode(mark_of(7), &bytes).unwrap();
        assert_eq!(frame, Frame { writes: group(), reserved: Timestamp::from_raw(99), length });
        assert_eq!(decode(mark_of(8), &bytes), None, "a frame of another segment");
    }

    #[test]
    fn a_cut_or_changed_frame_is_none() {
        let mut bytes = Vec::new();
        encode(mark_of(7), &group(), Timestamp::from_raw(99), &mut bytes);
        for length in 0..bytes.len() {
            assert_eq!(decode(mark_of(7), &bytes[..length]), None, "cut to {length}");
        }
        for position in 0..bytes.len() {
            for bit in 0..8 {
                let mut changed = bytes.clone();
                changed[position] ^= 1 << bit;
                assert_eq!(decode(mark_of(7), &changed), None, "bit {bit} of byte {position}");
            }
        }
    }
}
