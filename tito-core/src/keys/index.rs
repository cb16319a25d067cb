//! Keys and ranges of keys of index entries.

use std::ops::Bound;

use super::build::{SEPARATOR, key, text, with_separator};
use super::escape::{push_escaped, unescape};
use super::kind::Kind;
use super::range::KeyRange;
use super::value::encode_text_prefix;

/// `index:{table}:{index}:`, the prefix of everything of this index.
pub fn index_prefix(table: &str, index: &str) -> Vec<u8> {
    with_separator(key(Kind::Index, &[table.as_bytes(), index.as_bytes()]))
}

/// All entries of all indexes of a table.
pub fn indexes_of_table(table: &str) -> KeyRange {
    KeyRange::prefix(with_separator(key(Kind::Index, &[table.as_bytes()])))
}

/// All entries of an index.
pub fn index_entries(table: &str, index: &str) -> KeyRange {
    KeyRange::prefix(index_prefix(table, index))
}

/// `index:{table}:{index}:{fields…}:{id}`: the entry of a row. `fields` are [joined](push_field_separator) encoded
/// values.
pub fn index_entry(table: &str, index: &str, fields: &[u8], id: &str) -> Vec<u8> {
    let mut key = unique_index_entry(table, index, fields);
    key.push(SEPARATOR);
    push_escaped(&mut key, id.as_bytes());
    key
}

/// `index:{table}:{index}:{fields…}`: the entry of a unique index, whose value is the row's id.
pub fn unique_index_entry(table: &str, index: &str, fields: &[u8]) -> Vec<u8> {
    let mut key = index_prefix(table, index);
    key.extend_from_slice(fields);
    key
}

/// Appends what stands between two fields of an entry.
pub fn push_field_separator(fields: &mut Vec<u8>) {
    fields.push(SEPARATOR);
}

/// The entries whose leading fields lie between two bounds. A bound is any number of leading fields, encoded and
/// joined: entries that agree with it in those fields are the ones that it includes or excludes.
pub fn index_range(table: &str, index: &str, start: Bound<&[u8]>, end: Bound<&[u8]>) -> KeyRange {
    // No encoded value is the beginning of another, so the keys of all entries with these leading fields begin with
    // them and, unless that is the whole key, a separator; the next byte value ends them.
    let before = |fields: &[u8]| unique_index_entry(table, index, fields);
    let past = |fields: &[u8]| {
        let mut key = before(fields);
        key.push(SEPARATOR + 1);
        key
    };
    let mut range = index_entries(table, index);
    match start {
        Bound::Included(fields) => range.start = before(fields),
        Bound::Excluded(fields) => range.start = past(fields),
        Bound::Unbounded => {}
    }
    match end {
        Bound::Included(fields) => range.end = Some(past(fields)),
        Bound::Excluded(fields) => range.end = Some(before(fields)),
        Bound::Unbounded => {}
    }
    range
}

/// The entries whose first field is a text that starts with `text`.
pub fn index_text_range(table: &str, index: &str, text: &str) -> KeyRange {
    let mut start = index_prefix(table, index);
    encode_text_prefix(text, &mut start);
    KeyRange::prefix(start)
}

/// The table and the index of an index entry.
pub fn parse_index_of(key: &[u8]) -> Option<(String, String)> {
    let (table, index, _) = split(key)?;
    Some((text(table)?, text(index)?))
}

/// The encoded fields of the entry of a unique index.
pub fn parse_unique_index_entry(key: &[u8]) -> Option<&[u8]> {
    let (_, _, fields) = split(key)?;
    (!fields.is_empty()).then_some(fields)
}

/// The encoded fields of the entry of an index that is not unique, and the row's id.
pub fn parse_index_entry(key: &[u8]) -> Option<(&[u8], String)> {
    let (_, _, rest) = split(key)?;
    let at = rest.iter().rposition(|&byte| byte == SEPARATOR)?;
    let id = String::from_utf8(unescape(&rest[at + 1..])?).ok()?;
    (at > 0 && !id.is_empty()).then_some((&rest[..at], id))
}

/// Table, index and the rest of an entry's key.
fn split(key: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let mut components = Kind::Index.strip(key)?.splitn(3, |&byte| byte == SEPARATOR);
    Some((components.next()?, components.next()?, components.next()?))
}
