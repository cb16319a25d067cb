//! Rows that lie under a prefix.

use std::borrow::Cow;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use crate::error::{KeyText, Result, TitoError};
use crate::keys::{self, KeyRange};

/// What a transaction in a namespace may do with its rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowAccess {
    /// Read them.
    Read,
    /// Read and write them. Somebody else commits.
    Write,
    /// Read and write them, and nothing else: other writes and signals are silently dropped.
    WriteNothingElse,
}

/// Puts the rows and index entries of a transaction under a prefix, instead of where models usually have theirs. All
/// other keys stay as they are. For code that keeps its own models beside those of the application, as projections do.
#[derive(Debug)]
pub struct Namespace {
    prefix: Vec<u8>,
    access: RowAccess,
    owner: &'static str,
    /// What was written through it: keys, and bytes of keys and values.
    keys: AtomicUsize,
    bytes: AtomicUsize,
    /// Numbers events that are never written.
    events: AtomicU32,
}

impl Namespace {
    /// The namespace with this prefix. `owner` is how errors call its rows: "a projection's".
    pub fn new(prefix: Vec<u8>, access: RowAccess, owner: &'static str) -> Self {
        let (keys, bytes, events) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicU32::new(0));
        Self { prefix, access, owner, keys, bytes, events }
    }

    /// How many keys and bytes have been written through it.
    pub fn written(&self) -> (usize, usize) {
        (self.keys.load(Ordering::Relaxed), self.bytes.load(Ordering::Relaxed))
    }

    /// Whether a key is one of rows.
    pub(super) fn has(key: &[u8]) -> bool {
        keys::of_models().iter().any(|kind| key.starts_with(kind))
    }

    /// The key as it is stored.
    pub(super) fn stored<'a>(&self, key: impl Into<Cow<'a, [u8]>>) -> Cow<'a, [u8]> {
        let key = key.into();
        if Self::has(&key) { Cow::Owned([self.prefix.as_slice(), &*key].concat()) } else { key }
    }

    /// The range as it is stored.
    ///
    /// # Errors
    /// A range in which both rows and other things can lie.
    pub(super) fn stored_range(&self, range: KeyRange) -> Result<KeyRange> {
        for kind in keys::of_models() {
            let all = KeyRange::prefix(kind);
            let common = range.clone().intersection(all);
            if range.is_empty() || common.is_empty() {
                continue;
            }
            if common != range {
                return Err(TitoError::application("a range within a namespace has rows only, or none"));
            }
            let at = |key: &[u8]| [self.prefix.as_slice(), key].concat();
            return Ok(KeyRange { start: at(&range.start), end: range.end.as_deref().map(at) });
        }
        Ok(range)
    }

    /// The key of one that is stored.
    pub(super) fn own(&self, mut stored: Vec<u8>) -> Vec<u8> {
        if stored.starts_with(&self.prefix) { stored.split_off(self.prefix.len()) } else { stored }
    }

    /// The error with keys as they are known in this namespace.
    pub(super) fn own_error(&self, error: TitoError) -> TitoError {
        let own = |key: KeyText| KeyText::from(self.own(key.as_bytes().to_vec()));
        match error {
            TitoError::Conflict { key } => TitoError::Conflict { key: own(key) },
            TitoError::AlreadyExists { key } => TitoError::AlreadyExists { key: own(key) },
            TitoError::LimitExceeded { what, size, limit, key } => {
                TitoError::LimitExceeded { what, size, limit, key: own(key) }
            }
            error => error,
        }
    }

    /// Where a write goes, if it is to be made.
    pub(super) fn written_key(&self, key: Vec<u8>, value_bytes: usize) -> Result<Option<Vec<u8>>> {
        let is_row = Self::has(&key);
        match self.access {
            RowAccess::Read if is_row => {
                let key = KeyText::from(key);
                return Err(TitoError::application(format!("{key} is {}", self.owner)));
            }
            RowAccess::WriteNothingElse if !is_row => return Ok(None),
            _ => {}
        }
        let stored = self.stored(key).into_owned();
        self.keys.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(stored.len() + value_bytes, Ordering::Relaxed);
        Ok(Some(stored))
    }

    /// Which key is locked, if one is to be.
    pub(super) fn locked(&self, key: Vec<u8>) -> Option<Vec<u8>> {
        let is_kept = self.access != RowAccess::WriteNothingElse || Self::has(&key);
        is_kept.then(|| self.stored(key).into_owned())
    }

    pub(super) fn check_commit(&self) -> Result<()> {
        match self.access {
            RowAccess::Read => Ok(()),
            RowAccess::Write | RowAccess::WriteNothingElse => Err(TitoError::application(
                "this transaction is another's to commit: it was handed on to write rows into it",
            )),
        }
    }

    pub(super) fn is_silent(&self) -> bool {
        self.access == RowAccess::WriteNothingElse
    }

    /// What numbers its events, where they are not the transaction's.
    pub(super) fn event_numbers(&self) -> Option<&AtomicU32> {
        self.is_silent().then_some(&self.events)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn namespace() -> Namespace {
        Namespace::new(b"log:1:view:p:2:".to_vec(), RowAccess::Write, "a projection's")
    }

    #[test]
    fn rows_and_index_entries_lie_in_the_namespace_and_nothing_else_does() {
        assert_eq!(namespace().stored(&b"data:user:1"[..]).as_ref(), b"log:1:view:p:2:data:user:1");
        assert_eq!(namespace().stored(&b"index:user:by:1"[..]).as_ref(), b"log:1:view:p:2:index:user:by:1");
        for other in [&b"event:a"[..], b"topic:a", b"database:1", b"data", b""] {
            assert_eq!(namespace().stored(other).as_ref(), other);
        }
    }

    #[test]
    fn every_key_of_a_range_is_in_the_stored_range_and_comes_back() {
        let range = namespace().stored_range(keys::rows("user")).unwrap();
        let stored = namespace().stored(keys::row("user", "1")).into_owned();
        assert!(range.contains(&stored));
        assert!(!range.contains(&namespace().stored(keys::row("users", "1"))));
        assert_eq!(namespace().own(stored), keys::row("user", "1"));
        let all = namespace().stored_range(KeyRange::prefix("data:")).unwrap();
        assert!(all.contains(&namespace().stored(keys::row("z", "z"))));
        assert!(!all.contains(&namespace().stored(&b"index:a:b:c"[..])));
    }

    #[test]
    fn other_ranges_stay_and_mixed_ones_are_refused() {
        assert_eq!(namespace().stored_range(KeyRange::prefix("event:")).unwrap(), KeyRange::prefix("event:"));
        assert_eq!(namespace().stored_range(KeyRange::new("z", "a")).unwrap(), KeyRange::new("z", "a"));
        namespace().stored_range(KeyRange::new("", "z")).unwrap_err();
        namespace().stored_range(KeyRange::new("data:z", "data;x")).unwrap_err();
        namespace().stored_range(KeyRange::prefix("")).unwrap_err();
        namespace().stored_range(KeyRange::starting_at("data:z")).unwrap_err();
        assert_eq!(namespace().stored_range(KeyRange::starting_at("z")).unwrap(), KeyRange::starting_at("z"));
    }

    #[test]
    fn errors_tell_which_index_was_violated() {
        let key = namespace().stored(keys::unique_index_entry("user", "by_email", b"a!")).into_owned();
        let error = namespace().own_error(TitoError::AlreadyExists { key: key.into() });
        assert_eq!(error.violated_index(), Some(("user".to_string(), "by_email".to_string())));
    }
}
