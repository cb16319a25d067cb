//! Ranges of keys.

use std::ops::Bound;

/// The keys from `start` (included) to `end` (excluded), or all from `start` on if there is no `end`.
///
/// A range without an end covers every key that the engine knows. An engine with a key prefix knows the keys below it;
/// one without knows its whole cluster, including what other software keeps there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRange {
    /// The first key that belongs to the range, if it exists.
    pub start: Vec<u8>,
    /// The first key past the range; `None` where the range has no end.
    pub end: Option<Vec<u8>>,
}

impl KeyRange {
    /// The keys from `start` (included) to `end` (excluded); empty if `end` is not past `start`.
    pub fn new(start: impl Into<Vec<u8>>, end: impl Into<Vec<u8>>) -> Self {
        Self { start: start.into(), end: Some(end.into()) }
    }

    /// All keys from `start` (included) on.
    pub fn starting_at(start: impl Into<Vec<u8>>) -> Self {
        Self { start: start.into(), end: None }
    }

    /// The keys that begin with `prefix`: all keys if it is empty. The range has no end if the prefix has no byte below
    /// `0xff`, as no key lies past those that begin with it.
    pub fn prefix(prefix: impl Into<Vec<u8>>) -> Self {
        let start = prefix.into();
        let end = start.iter().rposition(|&byte| byte < u8::MAX).map(|last| {
            let mut end = start[..=last].to_vec();
            end[last] += 1;
            end
        });
        Self { start, end }
    }

    /// Whether no key can lie in the range.
    pub fn is_empty(&self) -> bool {
        self.end.as_ref().is_some_and(|end| self.start >= *end)
    }

    /// Whether `key` lies in the range.
    pub fn contains(&self, key: &[u8]) -> bool {
        self.start.as_slice() <= key && self.ends_past(key)
    }

    /// The range as bounds, for maps in memory. The standard library's maps panic on an [empty](Self::is_empty) one.
    pub fn bounds(&self) -> (Bound<&[u8]>, Bound<&[u8]>) {
        let end = self.end.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        (Bound::Included(self.start.as_slice()), end)
    }

    /// The keys that lie in both ranges.
    #[must_use]
    pub fn intersection(self, other: Self) -> Self {
        let end = [self.end, other.end].into_iter().flatten().min();
        Self { start: self.start.max(other.start), end }
    }

    /// The part of the range that lies after `key`.
    #[must_use]
    pub fn after(self, key: &[u8]) -> Self {
        let mut start = key.to_vec();
        start.push(0);
        self.not_before(start)
    }

    /// The part of the range that does not lie before `key`.
    #[must_use]
    pub fn not_before(mut self, key: Vec<u8>) -> Self {
        if key > self.start {
            self.start = key;
        }
        self
    }

    /// The part of the range that lies before `key`.
    #[must_use]
    pub fn before(mut self, key: &[u8]) -> Self {
        if self.ends_past(key) {
            self.end = Some(key.to_vec());
        }
        self
    }

    fn ends_past(&self, key: &[u8]) -> bool {
        self.end.as_ref().is_none_or(|end| key < end.as_slice())
    }
}
