//! The part of the key space that a region holds.

/// From `start` up to but not including `end`, in PD's form of boundaries: encoded for transactional keys, the key
/// itself for raw ones. An empty `end` is the end of the key space.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RegionRange {
    pub(crate) start: Vec<u8>,
    pub(crate) end: Vec<u8>,
}

impl RegionRange {
    /// Whether the region holds a key, given in PD's form.
    pub(crate) fn contains(&self, key: &[u8]) -> bool {
        self.start.as_slice() <= key && (self.end.is_empty() || key < self.end.as_slice())
    }
}
