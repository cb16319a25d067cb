//! Ownership: a row for each key whose value belongs to an owner.

use super::build::{SEPARATOR, key, text, with_separator};
use super::kind::Kind;
use super::range::KeyRange;

/// `!owned:{owner}:{key}`: what is stored or was published under a key belongs to an owner. The key follows unescaped.
pub fn owned(owner: &str, owned_key: &[u8]) -> Vec<u8> {
    let mut row = with_separator(key(Kind::Owned, &[owner.as_bytes()]));
    row.extend_from_slice(owned_key);
    row
}

/// The rows of one owner.
pub fn owned_by(owner: &str) -> KeyRange {
    KeyRange::prefix(with_separator(key(Kind::Owned, &[owner.as_bytes()])))
}

/// The rows of all owners.
pub fn all_owned() -> KeyRange {
    Kind::Owned.all()
}

/// The owner, and the key of what belongs to it.
pub fn parse_owned(row: &[u8]) -> Option<(String, &[u8])> {
    let rest = Kind::Owned.strip(row)?;
    let at = rest.iter().position(|&byte| byte == SEPARATOR)?;
    Some((text(&rest[..at])?, &rest[at + 1..]))
}
