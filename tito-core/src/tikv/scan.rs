//! Scans of what a transaction sees, page by page, with its own writes on top.

use std::collections::BTreeMap;

use super::reads::{At, Page, only};
use crate::engine::KeyValue;
use crate::engine::write_buffer::Writes;
use crate::error::Result;
use crate::keys::{self, KeyRange};

/// The first `limit` keys of `range`, ascending or descending.
pub(super) async fn scan(
    at: At<'_>,
    writes: &Writes,
    mut range: KeyRange,
    is_reverse: bool,
    limit: usize,
) -> Result<Vec<KeyValue>> {
    let deadline = at.deadline();
    let mut found = Vec::new();
    while found.len() < limit && !range.is_empty() {
        // Own deletes take rows away, so as many more are read. The limit counts what is left.
        let deletes = own(writes, &range).filter(|(_, value)| value.is_none()).take(limit).count();
        let needed = (limit - found.len()).saturating_add(deletes);
        let page = at.page(&range, is_reverse, needed, deadline).await?;
        let covered = covered(&range, &page, is_reverse);
        found.extend(merged(page.rows, writes, &covered, is_reverse).take(limit - found.len()));
        range = match is_reverse {
            true => range.before(&covered.start),
            false => match covered.end {
                Some(end) => range.not_before(end),
                None => break,
            },
        };
    }
    Ok(found)
}

/// The part of the range of which the page tells everything.
fn covered(range: &KeyRange, page: &Page, is_reverse: bool) -> KeyRange {
    let mut covered = range.clone();
    match page.rows.last() {
        Some((last, _)) if !page.is_last && is_reverse => covered.start = last.clone(),
        Some((last, _)) if !page.is_last => covered.end = only(last).end,
        _ => {}
    }
    covered
}

/// The rows with the own writes of the same range on top, in the order of the scan.
fn merged(
    rows: Vec<KeyValue>,
    writes: &Writes,
    range: &KeyRange,
    is_reverse: bool,
) -> Box<dyn Iterator<Item = KeyValue> + Send> {
    // The database's own row is none of the application's.
    let rows = rows.into_iter().filter(|(key, _)| *key != keys::database_identity());
    let mut merged: BTreeMap<Vec<u8>, Vec<u8>> = rows.collect();
    for (key, value) in own(writes, range) {
        match value {
            Some(value) => merged.insert(key.clone(), value.clone()),
            None => merged.remove(key),
        };
    }
    match is_reverse {
        true => Box::new(merged.into_iter().rev()),
        false => Box::new(merged.into_iter()),
    }
}

fn own<'a>(writes: &'a Writes, range: &'a KeyRange) -> impl Iterator<Item = (&'a Vec<u8>, &'a Option<Vec<u8>>)> {
    // A map's range panics on bounds that are the wrong way round.
    let writes = (!range.is_empty()).then(|| writes.range::<[u8], _>(range.bounds()));
    writes.into_iter().flatten().map(|(key, pending)| (key, &pending.value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Limits;
    use crate::engine::write_buffer::WriteBuffer;

    fn rows(keys: &[&str]) -> Vec<KeyValue> {
        keys.iter().map(|key| (key.as_bytes().to_vec(), b"stored".to_vec())).collect()
    }

    fn page(keys: &[&str], is_last: bool) -> Page {
        Page { rows: rows(keys), is_last }
    }

    #[test]
    fn a_page_covers_its_range_up_to_its_last_row() {
        let range = KeyRange::new("a", "z");
        assert_eq!(covered(&range, &page(&["b", "d"], false), false), KeyRange::new("a", "d\0"));
        assert_eq!(covered(&range, &page(&["d", "b"], false), true), KeyRange::new("b", "z"));
        for is_reverse in [false, true] {
            assert_eq!(covered(&range, &page(&["b"], true), is_reverse), range, "the last page covers all");
            assert_eq!(covered(&range, &page(&[], true), is_reverse), range);
        }
    }

    #[test]
    fn own_writes_of_the_covered_range_only_are_merged() {
        let mut buffer = WriteBuffer::default();
        for (key, value) in [("b", None), ("c", Some("own")), ("x", Some("own"))] {
            let value = value.map(|value: &str| value.as_bytes().to_vec());
            assert!(buffer.write(key.as_bytes().to_vec(), value, &Limits::default()).is_ok());
        }
        let writes = buffer.writes();
        let keys = |is_reverse| {
            let merged = merged(rows(&["a", "b", "d"]), &writes, &KeyRange::new("a", "d\0"), is_reverse);
            merged.map(|(key, _)| String::from_utf8_lossy(&key).into_owned()).collect::<Vec<_>>()
        };
        assert_eq!(keys(false), ["a", "c", "d"]);
        assert_eq!(keys(true), ["d", "c", "a"]);
    }

    #[test]
    fn an_empty_range_has_no_own_writes() {
        let range = KeyRange::new("z", "a");
        assert_eq!(own(&Writes::default(), &range).count(), 0);
    }
}
