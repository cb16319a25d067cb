//! Pages of a listing: so many items, and so many bytes.

use std::future::Future;
use std::str::FromStr;

use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

use crate::api::{Code, Page, PageQuery};
use crate::failure::{Answer, Failure};
use crate::input;

/// How many bytes the items of a page have, but for its last one: then it ends, however many were asked for.
const BYTES: usize = 8 << 20;

/// How many rows are read at once that may have a mebibyte each.
const STEP: usize = 16;

/// A page whose items are written already.
pub(crate) type Written = Page<Box<RawValue>>;

/// A page that is being filled.
#[derive(Debug)]
pub(crate) struct Filling {
    page: Written,
    limit: usize,
    bytes: usize,
}

impl Filling {
    pub(crate) fn new(limit: usize) -> Self {
        Self { page: Page { items: Vec::new(), next: None }, limit, bytes: 0 }
    }

    pub(crate) fn is_full(&self) -> bool {
        self.page.items.len() >= self.limit || self.bytes >= BYTES
    }

    /// Adds an item, behind which the next page goes on at `place`.
    pub(crate) fn add(&mut self, item: &impl Serialize, place: impl FnOnce() -> String) -> Answer<()> {
        let item = to_raw_value(item)
            .map_err(|error| Failure::new(Code::Internal, format!("an item can't be written as JSON: {error}")))?;
        self.bytes += item.get().len();
        self.page.items.push(item);
        if self.is_full() {
            self.page.next = Some(place());
        }
        Ok(())
    }

    /// The page ends here, with less than it could have, and the next one goes on at `place`.
    pub(crate) fn end_at(&mut self, place: String) {
        self.page.next = Some(place);
    }

    /// How many items it has room for, and no more than are read at once.
    pub(crate) fn step(&self) -> usize {
        (self.limit - self.page.items.len()).min(STEP)
    }

    pub(crate) fn page(self) -> Written {
        self.page
    }
}

/// A page of what was read.
pub(crate) fn of<T: Serialize>(
    items: impl IntoIterator<Item = T>,
    limit: usize,
    place: impl Fn(&T) -> String,
) -> Answer<Written> {
    let mut filling = Filling::new(limit);
    for item in items {
        if filling.is_full() {
            break;
        }
        filling.add(&item, || place(&item))?;
    }
    Ok(filling.page())
}

/// After which place of a listing a page begins.
pub(crate) fn place<K: FromStr>(query: &PageQuery) -> Answer<Option<K>> {
    let no_place = |text: &str| Failure::invalid(format!("{text:?} is no `next` of this listing"));
    query.after.as_deref().map(|text| text.parse().map_err(|_| no_place(text))).transpose()
}

/// A page of a listing that is there as a whole, by what its items are ordered by.
pub(crate) fn by<T: Serialize, K: Ord + FromStr + ToString>(
    mut all: Vec<T>,
    query: &PageQuery,
    order: impl Fn(&T) -> K,
) -> Answer<Written> {
    let limit = input::limit(query.limit)?;
    let after = place::<K>(query)?;
    all.sort_by_cached_key(&order);
    let rest = all.into_iter().filter(|item| after.as_ref().is_none_or(|after| order(item) > *after));
    of(rest, limit, |item| order(item).to_string())
}

/// A page of what is read in steps, each with what it goes on after: so that no more is in memory than a page and a step.
pub(crate) async fn in_steps<T: Serialize, P: Clone, F: Future<Output = Answer<Vec<(P, T)>>>>(
    limit: usize,
    mut after: Option<P>,
    text: impl Fn(&P) -> String,
    mut read: impl FnMut(usize, Option<P>) -> F,
) -> Answer<Written> {
    let mut filling = Filling::new(limit);
    while !filling.is_full() {
        let step = filling.step();
        let found = read(step, after.clone()).await?;
        let is_last = found.len() < step;
        for (place, item) in found {
            if filling.is_full() {
                break;
            }
            filling.add(&item, || text(&place))?;
            after = Some(place);
        }
        if is_last {
            break;
        }
    }
    Ok(filling.page())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[tokio::test]
    async fn a_page_ends_by_its_bytes_and_goes_on_behind_its_last_item() {
        let all: Vec<String> = (0..30).map(|number| format!("{number:02}{}", "x".repeat(1 << 20))).collect();
        let (mut seen, mut after, mut pages) = (Vec::new(), None, 0);
        loop {
            let read = |limit: usize, after: Option<usize>| {
                let rest: Vec<_> =
                    all.iter().enumerate().skip(after.map_or(0, |after| after + 1)).take(limit).collect();
                async move { Ok(rest) }
            };
            let page = in_steps(1_000, after, usize::to_string, read).await.unwrap();
            let bytes: usize = page.items.iter().map(|item| item.get().len()).sum();
            assert!(bytes <= BYTES + (2 << 20), "{bytes}");
            seen.extend(page.items.iter().map(|item| item.get()[1..3].to_string()));
            pages += 1;
            let Some(next) = page.next else { break };
            after = Some(next.parse().unwrap());
        }
        assert_eq!(pages, 4);
        assert_eq!(seen, (0..30).map(|number| format!("{number:02}")).collect::<Vec<_>>());
    }

    #[test]
    fn a_listing_goes_on_behind_what_has_gone() {
        let page = |all: &[u16], after: Option<&str>| {
            let query = PageQuery { limit: Some(2), after: after.map(str::to_string) };
            let page = by(all.to_vec(), &query, |number| *number).unwrap();
            (page.items.iter().map(|item| item.get().to_string()).collect::<Vec<_>>(), page.next)
        };
        assert_eq!(page(&[10, 9, 7], None), (vec!["7".to_string(), "9".to_string()], Some("9".to_string())));
        assert_eq!(page(&[10, 7], Some("9")), (vec!["10".to_string()], None));
        let query = PageQuery { limit: None, after: Some("x".to_string()) };
        assert!(by(vec![1_u16], &query, |number| *number).is_err());
    }
}
