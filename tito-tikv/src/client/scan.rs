//! Scans: page by page, region by region, in both directions.
use std::ops::{Bound, RangeBounds};

use futures::future::{OptionFuture, join};
use tito_tikv_proto::kvrpcpb::{KvPair, LockInfo, ScanRequest};

use super::core::Attempt;
use super::snapshot::{KeyValue, Snapshot, Tries, lock_of};
use crate::region::Region;
use crate::{Error, Result};

/// The range of keys of a scan, as it is stored; an empty end is that of all keys.
#[derive(Clone, Debug, PartialEq)]
struct Span {
    start: Vec<u8>,
    end: Vec<u8>,
}

impl Span {
    fn is_empty(&self) -> bool {
        !self.end.is_empty() && self.start >= self.end
    }
}

/// A page of one region.
struct Page {
    pairs: Vec<KvPair>,
    /// What comes after it; `None` if nothing does.
    rest: Option<Span>,
    /// Whether the region has no more.
    is_whole: bool,
}

impl Snapshot {
    /// The first keys of a range with their values, so many at most, in the order of their keys.
    ///
    /// The limit is one over all regions. Rows are read in pages that are well within
    /// [`max_message_bytes`](super::Builder::max_message_bytes), however many are wanted; all that are returned are in
    /// memory at once.
    ///
    /// # Errors
    ///
    /// Those of [`get`](Self::get).
    pub async fn scan<K: AsRef<[u8]>>(&self, range: impl RangeBounds<K>, limit: usize) -> Result<Vec<KeyValue>> {
        self.read_range(self.span(&range), limit, false).await
    }

    /// The last keys of a range with their values, so many at most, from the last on.
    ///
    /// # Errors
    ///
    /// Those of [`get`](Self::get).
    pub async fn scan_reverse<K: AsRef<[u8]>>(
        &self,
        range: impl RangeBounds<K>,
        limit: usize,
    ) -> Result<Vec<KeyValue>> {
        self.read_range(self.span(&range), limit, true).await
    }

    fn span<K: AsRef<[u8]>>(&self, range: &impl RangeBounds<K>) -> Span {
        let keyspace = &self.core.keyspace;
        let after = |key: &K| [keyspace.stored(key.as_ref()), vec![0]].concat();
        Span {
            start: match range.start_bound() {
                Bound::Included(key) => keyspace.stored(key.as_ref()),
                Bound::Excluded(key) => after(key),
                Bound::Unbounded => keyspace.stored(b""),
            },
            end: match range.end_bound() {
                Bound::Included(key) => after(key),
                // Nothing comes before an empty key.
                Bound::Excluded(key) if key.as_ref().is_empty() => keyspace.stored(b"\0"),
                Bound::Excluded(key) => keyspace.stored(key.as_ref()),
                Bound::Unbounded => keyspace.stored_end(b""),
            },
        }
    }

    async fn read_range(&self, span: Span, limit: usize, reverse: bool) -> Result<Vec<KeyValue>> {
        let mut rows = Vec::new();
        let mut left = Some(span);
        // Once a region had no more than a page, the next one's page is fetched at the same time.
        let mut looks_ahead = false;
        while let Some(span) = left.take().filter(|span| rows.len() < limit && !span.is_empty()) {
            let deadline = self.deadline("scan");
            let more = limit - rows.len();
            let ahead = if looks_ahead { self.after_region(&span, reverse) } else { None };
            let page = |span: Span| self.page(span, more, reverse, Tries::new(&self.core, deadline));
            let pages = async {
                let ahead = OptionFuture::from(ahead.clone().map(page));
                let (first, second) = join(page(span), ahead).await;
                Ok((first?, second.transpose()?))
            };
            let (first, second) = deadline.bound(pages).await?;
            looks_ahead = first.is_whole;
            let follows = first.is_whole && ahead.is_some() && first.rest == ahead;
            for page in [Some(first), second.filter(|_| follows)].into_iter().flatten() {
                left = page.rest;
                rows.extend(page.pairs.into_iter().map(|pair| (self.core.keyspace.own(&pair.key), pair.value)));
            }
        }
        // The page that was fetched ahead did not know how much the first one had.
        rows.truncate(limit);
        Ok(rows)
    }

    /// What a scan has to do after the region in which it is, if that is known.
    fn after_region(&self, span: &Span, reverse: bool) -> Option<Span> {
        let region =
            if reverse { self.core.regions.before(&span.end)? } else { self.core.regions.of_key(&span.start)? };
        rest_after(span, &region, None, reverse).filter(|rest| !rest.is_empty())
    }

    /// A page from the beginning of a span on.
    async fn page(&self, span: Span, more: usize, reverse: bool, mut tries: Tries<'_>) -> Result<Page> {
        let mut most = usize::MAX;
        loop {
            let region =
                if reverse { self.core.region_before(&span.end).await } else { self.core.region_of(&span.start).await };
            let Some(region) = tries.located(region).await? else { continue };
            let limit = self.core.row_sizes.rows(more).min(most);
            let (start, end) = within(&span, &region);
            let (start_key, end_key) = if reverse { (end, start) } else { (start, end) };
            let request = ScanRequest {
                context: Some(self.context()),
                start_key,
                end_key,
                limit: u32::try_from(limit).unwrap_or(u32::MAX),
                version: self.at.raw(),
                reverse,
                ..ScanRequest::default()
            };
            let attempt = self.core.attempt(&region, request).await;
            if let Attempt::Refused { error: error @ Error::TooLarge { .. } } = attempt {
                most = self.core.row_sizes.did_not_fit(limit).ok_or(error)?;
                continue;
            }
            let Some(response) = tries.answered(attempt).await? else { continue };
            let errors = response.error.into_iter().chain(response.pairs.iter().filter_map(|pair| pair.error.clone()));
            let locks = errors.map(|error| lock_of("KvScan", error)).collect::<Result<Vec<LockInfo>>>()?;
            if !locks.is_empty() {
                self.pass(&mut tries, locks).await?;
                continue;
            }
            let pairs = response.pairs;
            self.core.row_sizes.saw(&pairs);
            let last = pairs.last().filter(|_| pairs.len() >= limit).map(|last| last.key.as_slice());
            let (is_whole, rest) = (last.is_none(), rest_after(&span, &region, last, reverse));
            return Ok(Page { pairs, rest, is_whole });
        }
    }
}

/// What the region has of the span.
fn within(span: &Span, region: &Region) -> (Vec<u8>, Vec<u8>) {
    let start = span.start.as_slice().max(&region.start).to_vec();
    let end = match (span.end.is_empty(), region.end.is_empty()) {
        (true, _) => &region.end,
        (_, true) => &span.end,
        (false, false) => (&span.end).min(&region.end),
    };
    (start, end.clone())
}

/// What comes after a page of a region: after its last key, or else after the region. `None` if nothing does.
fn rest_after(span: &Span, region: &Region, last: Option<&[u8]>, reverse: bool) -> Option<Span> {
    let mut rest = span.clone();
    match (reverse, last) {
        (false, Some(last)) => rest.start = [last, &[0]].concat(),
        (true, Some(last)) => rest.end = last.to_vec(),
        (false, None) if region.end.is_empty() => return None,
        (false, None) => rest.start.clone_from(&region.end),
        (true, None) if region.start.is_empty() => return None,
        (true, None) => rest.end.clone_from(&region.start),
    }
    Some(rest)
}
