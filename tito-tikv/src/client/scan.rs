//! Scans: page by page, region by region, in both directions.
use std::ops::{Bound, RangeBounds};

use tito_tikv_proto::kvrpcpb::{KvPair, LockInfo, ScanRequest};
use tonic::Code;

use super::snapshot::{KeyValue, Snapshot, Tries, lock_of};
use crate::region::Region;
use crate::{Error, Result};

/// How many rows the first page has at most, and any later one.
const FIRST_ROWS: usize = 256;
const MOST_ROWS: usize = 4_096;

/// The range of keys of a scan, as it is stored; an empty end is that of all keys.
struct Span {
    start: Vec<u8>,
    end: Vec<u8>,
}

/// How large pages are: a store can't be told a limit in bytes, so rows are counted by the size of those before.
struct PageSize {
    rows: usize,
    bytes: usize,
}

impl PageSize {
    fn learn(&mut self, pairs: &[KvPair]) {
        let bytes: usize = pairs.iter().map(|pair| pair.key.len() + pair.value.len() + 16).sum();
        if let Some(each) = bytes.checked_div(pairs.len()) {
            self.rows = (self.bytes / each.max(1)).clamp(1, (self.rows * 4).min(MOST_ROWS));
        }
    }
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
    /// As [`get`](Self::get).
    pub async fn scan<K: AsRef<[u8]>>(&self, range: impl RangeBounds<K>, limit: usize) -> Result<Vec<KeyValue>> {
        self.read_range(self.span(&range), limit, false).await
    }

    /// The last keys of a range with their values, so many at most, from the last on.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get).
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

    async fn read_range(&self, mut span: Span, limit: usize, reverse: bool) -> Result<Vec<KeyValue>> {
        let mut rows = Vec::new();
        let mut size = PageSize { rows: FIRST_ROWS, bytes: self.core.settings.max_message_bytes / 4 };
        let is_empty = |span: &Span| !span.end.is_empty() && span.start >= span.end;
        while rows.len() < limit && !is_empty(&span) {
            let deadline = self.deadline("scan");
            let more = limit - rows.len();
            let (pairs, is_last) = deadline
                .bound(self.page(&mut span, more, reverse, &mut size, Tries::new(&self.core, deadline)))
                .await?;
            rows.extend(pairs.into_iter().map(|pair| (self.core.keyspace.own(&pair.key), pair.value)));
            if is_last {
                break;
            }
        }
        Ok(rows)
    }

    /// A page of one region; the span is what is left after it. Whether it was the last.
    async fn page(
        &self,
        span: &mut Span,
        more: usize,
        reverse: bool,
        size: &mut PageSize,
        mut tries: Tries<'_>,
    ) -> Result<(Vec<KvPair>, bool)> {
        loop {
            let region = match reverse {
                false => self.core.region_of(&span.start).await,
                true => self.core.region_before(&span.end).await,
            };
            let Some(region) = tries.located(region).await? else { continue };
            let limit = size.rows.min(more);
            let (start, end) = within(span, &region);
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
            if size.rows > 1 && is_too_large(&attempt) {
                size.rows = (limit / 2).max(1);
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
            size.learn(&pairs);
            let is_last = advance(span, &region, &pairs, limit, reverse);
            return Ok((pairs, is_last));
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

/// Leaves what comes after a page in the span. Whether nothing does.
fn advance(span: &mut Span, region: &Region, pairs: &[KvPair], limit: usize, reverse: bool) -> bool {
    let last = pairs.last().filter(|_| pairs.len() >= limit);
    match (reverse, last) {
        (false, Some(last)) => span.start = [last.key.as_slice(), &[0]].concat(),
        (true, Some(last)) => span.end.clone_from(&last.key),
        (false, None) if region.end.is_empty() => return true,
        (false, None) => span.start.clone_from(&region.end),
        (true, None) if region.start.is_empty() => return true,
        (true, None) => span.end.clone_from(&region.start),
    }
    false
}

fn is_too_large<T>(attempt: &super::core::Attempt<T>) -> bool {
    match attempt {
        super::core::Attempt::Unanswered { error: Error::Unanswered { source, .. }, .. } => {
            source.code() == Code::OutOfRange
        }
        _ => false,
    }
}
