//! Where the keys of a generation lie.

use std::borrow::Cow;

use tito_core::keys::KeyRange;
use tito_core::{KeyText, Result, TitoError};

/// Rows and index entries; what else there is belongs to no projection.
const OF_ROWS: [&str; 2] = ["data:", "index:"];

/// The namespace of a generation: what stands in it before the keys of rows and index entries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Space(Vec<u8>);

impl Space {
    pub(super) fn new(prefix: Vec<u8>) -> Self {
        Self(prefix)
    }

    /// Whether a key is one of rows.
    pub(super) fn has(key: &[u8]) -> bool {
        OF_ROWS.iter().any(|kind| key.starts_with(kind.as_bytes()))
    }

    /// The key as it is stored.
    pub(super) fn stored<'a>(&self, key: impl Into<Cow<'a, [u8]>>) -> Cow<'a, [u8]> {
        let key = key.into();
        if Self::has(&key) { Cow::Owned([self.0.as_slice(), &*key].concat()) } else { key }
    }

    /// The range as it is stored.
    ///
    /// # Errors
    /// A range in which both rows and other things can lie.
    pub(super) fn stored_range(&self, range: KeyRange) -> Result<KeyRange> {
        for kind in OF_ROWS {
            let all = KeyRange::prefix(kind);
            let common = range.clone().intersection(all.clone());
            if range.is_empty() || common.is_empty() {
                continue;
            }
            if common != range {
                return Err(TitoError::application("a range within a view has rows only, or none"));
            }
            let at = |key: &[u8]| [self.0.as_slice(), key].concat();
            return Ok(KeyRange { start: at(&range.start), end: range.end.as_deref().map(at) });
        }
        Ok(range)
    }

    /// The key of one that is stored.
    pub(super) fn own(&self, mut stored: Vec<u8>) -> Vec<u8> {
        match stored.starts_with(&self.0) {
            true => stored.split_off(self.0.len()),
            false => stored,
        }
    }

    /// An error that tells keys as they are known here.
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
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use tito_core::keys;

    use super::*;

    fn space() -> Space {
        Space::new(b"log:1:view:p:2:".to_vec())
    }

    #[test]
    fn rows_and_index_entries_lie_in_the_namespace_and_nothing_else_does() {
        assert_eq!(space().stored(&b"data:user:1"[..]).as_ref(), b"log:1:view:p:2:data:user:1");
        assert_eq!(space().stored(&b"index:user:by:1"[..]).as_ref(), b"log:1:view:p:2:index:user:by:1");
        for other in [&b"event:a"[..], b"topic:a", b"database:1", b"data", b""] {
            assert_eq!(space().stored(other).as_ref(), other);
        }
    }

    #[test]
    fn every_key_of_a_range_is_in_the_stored_range_and_comes_back() {
        let range = space().stored_range(keys::rows("user")).unwrap();
        let stored = space().stored(keys::row("user", "1")).into_owned();
        assert!(range.contains(&stored));
        assert!(!range.contains(&space().stored(keys::row("users", "1"))));
        assert_eq!(space().own(stored), keys::row("user", "1"));
        let all = space().stored_range(KeyRange::prefix("data:")).unwrap();
        assert!(all.contains(&space().stored(keys::row("z", "z"))));
        assert!(!all.contains(&space().stored(&b"index:a:b:c"[..])));
    }

    #[test]
    fn other_ranges_stay_and_mixed_ones_are_refused() {
        assert_eq!(space().stored_range(KeyRange::prefix("event:")).unwrap(), KeyRange::prefix("event:"));
        assert_eq!(space().stored_range(KeyRange::new("z", "a")).unwrap(), KeyRange::new("z", "a"));
        space().stored_range(KeyRange::new("", "z")).unwrap_err();
        space().stored_range(KeyRange::new("data:z", "data;x")).unwrap_err();
        space().stored_range(KeyRange::prefix("")).unwrap_err();
        space().stored_range(KeyRange::starting_at("data:z")).unwrap_err();
        assert_eq!(space().stored_range(KeyRange::starting_at("z")).unwrap(), KeyRange::starting_at("z"));
    }

    #[test]
    fn errors_tell_which_index_was_violated() {
        let key = space().stored(keys::unique_index_entry("user", "by_email", b"a!")).into_owned();
        let error = space().own_error(TitoError::AlreadyExists { key: key.into() });
        assert_eq!(error.violated_index(), Some(("user".to_string(), "by_email".to_string())));
    }
}
