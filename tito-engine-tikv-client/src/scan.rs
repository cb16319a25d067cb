//! Scans of a snapshot, page by page.

use super::reads::{At, Page, only};
use tito_core::Result;
use tito_core::engine::{Direction, KeyValue};
use tito_core::keys::{self, KeyRange};

/// The first `limit` keys of `range` in the order of `direction`.
pub(super) async fn scan(at: At<'_>, mut range: KeyRange, direction: Direction, limit: usize) -> Result<Vec<KeyValue>> {
    let deadline = at.deadline();
    let mut found = Vec::new();
    while found.len() < limit && !range.is_empty() {
        let page = at.page(&range, direction == Direction::Descending, limit - found.len(), deadline).await?;
        let rest = rest(range, &page, direction);
        // The database's own row is none of the application's.
        found.extend(page.rows.into_iter().filter(|(key, _)| *key != keys::database_identity()));
        match rest {
            Some(rest) => range = rest,
            None => break,
        }
    }
    Ok(found)
}

/// The part of the range that comes after the page.
fn rest(range: KeyRange, page: &Page, direction: Direction) -> Option<KeyRange> {
    let (last, _) = page.rows.last().filter(|_| !page.is_last)?;
    match direction {
        Direction::Descending => Some(range.before(last)),
        Direction::Ascending => only(last).end.map(|end| range.not_before(end)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(keys: &[&str], is_last: bool) -> Page {
        Page { rows: keys.iter().map(|key| (key.as_bytes().to_vec(), b"stored".to_vec())).collect(), is_last }
    }

    #[test]
    fn a_scan_goes_on_behind_the_last_row_of_a_page() {
        let range = KeyRange::new("a", "z");
        let rest_of = |page: Page, direction| rest(range.clone(), &page, direction);
        assert_eq!(rest_of(page(&["b", "d"], false), Direction::Ascending), Some(KeyRange::new("d\0", "z")));
        assert_eq!(rest_of(page(&["d", "b"], false), Direction::Descending), Some(KeyRange::new("a", "b")));
        for direction in [Direction::Ascending, Direction::Descending] {
            assert_eq!(rest_of(page(&["b"], true), direction), None, "the last page covers all");
            assert_eq!(rest_of(page(&[], true), direction), None);
        }
    }
}
