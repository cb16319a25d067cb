//! Where a boundary in PD's encoded form falls among the unencoded keys.

use std::ops::Bound;

use crate::range::RegionRange;

const GROUP: usize = 8;
const FULL: u8 = 0xff;

/// The smallest key whose encoding is not less than a boundary.
///
/// A boundary is usually a key's encoding and this decodes it; but a region may be split anywhere.
fn first_key_at_or_after(boundary: &[u8]) -> Vec<u8> {
    let mut key = Vec::with_capacity(boundary.len());
    let mut rest = boundary;
    while rest.len() > GROUP && rest[GROUP] == FULL {
        key.extend_from_slice(&rest[..GROUP]);
        rest = &rest[GROUP + 1..];
    }
    let group = &rest[..rest.len().min(GROUP)];
    let needed = group.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    // A key that ends in this group has its length encoded there as a marker; the boundary may demand a higher marker.
    let demanded = match rest.get(GROUP) {
        Some(marker) => {
            let shortest = usize::from(FULL) - GROUP;
            (usize::from(*marker) + usize::from(rest.len() > GROUP + 1)).saturating_sub(shortest)
        }
        None => 0,
    };
    // A truncated group includes its zeros.
    key.extend(group.iter().copied().chain(std::iter::repeat(0)).take(needed.max(demanded)));
    key
}

/// The two ends of a section of a map.
type Bounds<'a> = (Bound<&'a [u8]>, Bound<&'a [u8]>);

/// A section of the key space, from `start` up to but not including `end`; without `end`, up to the end of the key
/// space.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct KeyRange {
    start: Vec<u8>,
    end: Option<Vec<u8>>,
}

impl KeyRange {
    /// From `start` up to `end`; an empty `end` means the end of the key space.
    pub(super) fn new(start: &[u8], end: &[u8]) -> Self {
        Self { start: start.to_vec(), end: (!end.is_empty()).then(|| end.to_vec()) }
    }

    /// The transactional keys of a region.
    pub(super) fn of_region(region: &RegionRange) -> Self {
        let end = (!region.end.is_empty()).then(|| first_key_at_or_after(&region.end));
        Self { start: first_key_at_or_after(&region.start), end }
    }

    /// The section that also lies in `other`.
    pub(super) fn within(self, other: &KeyRange) -> Self {
        let end = match (self.end, &other.end) {
            (Some(end), Some(limit)) => Some(end.min(limit.clone())),
            (end, limit) => end.or_else(|| limit.clone()),
        };
        Self { start: self.start.max(other.start.clone()), end }
    }

    /// The bounds for a map; `None` if no key lies between them, since a map would panic.
    pub(super) fn bounds(&self) -> Option<Bounds<'_>> {
        match &self.end {
            None => Some((Bound::Included(&self.start), Bound::Unbounded)),
            Some(end) if self.start < *end => Some((Bound::Included(&self.start), Bound::Excluded(end))),
            Some(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec;

    #[test]
    fn an_encoded_boundary_is_the_key_it_encodes() {
        for key in [&b""[..], b"a", b"12345678", b"123456789", b"a\0\0", b"1234567\0"] {
            assert_eq!(first_key_at_or_after(&codec::encode(key)), key);
        }
    }

    #[test]
    fn a_boundary_that_encodes_no_key_parts_the_keys_by_their_encodings() {
        let seed = 11;
        let mut random = fastrand::Rng::with_seed(seed);
        let keys: Vec<Vec<u8>> =
            (0..400).map(|_| (0..random.usize(0..19)).map(|_| random.u8(0..3)).collect()).collect();
        for _ in 0..400 {
            let bytes = [0, 1, 2, 246, 247, 249, 254, 255];
            let mut boundary = codec::encode(&keys[random.usize(..keys.len())]);
            boundary.truncate(random.usize(..=boundary.len()));
            boundary.extend((0..random.usize(0..4)).map(|_| bytes[random.usize(..bytes.len())]));
            let first = first_key_at_or_after(&boundary);
            for key in &keys {
                assert_eq!(*key >= first, codec::encode(key) >= boundary, "seed {seed}, {boundary:?}, {key:?}");
            }
        }
    }
}
