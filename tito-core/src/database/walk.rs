//! Walks over ranges of keys, in pages of bounded size.

use std::future::Future;
use std::ops::AddAssign;
use std::sync::Arc;

use super::handle::Database;
use super::transaction::Transaction;
use crate::engine::{KeyValue, Limits};
use crate::error::Result;
use crate::keys::KeyRange;
use crate::timestamp::Now;

/// How many entries a page has at most by default.
const PAGE: usize = 200;

/// How many bytes it has at the most, about, unless it is told otherwise, and how many entries are read at first, when
/// nothing is known of their size.
const PAGE_BYTES: usize = 16 << 20;
const FIRST_READ: usize = 16;

/// How many keys a step may write for each entry.
const KEYS_OF_AN_ENTRY: usize = 4;

/// What is left of a range of keys that is read page by page.
///
/// A clone is a place to come back to: a transaction that may run again walks on with a clone, and gives it back when
/// it is committed. After an error the walk stays where it was.
#[derive(Clone, Debug)]
pub struct Walk {
    /// `None` at the end.
    rest: Option<KeyRange>,
    size: PageSize,
    /// Whether it goes from the end to the beginning.
    is_reverse: bool,
    /// Whether a page tells if there is another.
    looks_ahead: bool,
    /// How many bytes an entry of the last page had; none before the first.
    mean: Option<usize>,
}

/// How much of a range is handled at a time.
#[derive(Clone, Copy, Debug)]
pub struct PageSize {
    entries: usize,
    bytes: usize,
}

impl PageSize {
    /// At most so many entries, at least one, of any size.
    pub fn entries(entries: usize) -> Self {
        Self { entries: entries.max(1), bytes: usize::MAX }
    }

    /// And at most so many bytes of keys and values, or one entry that is larger.
    #[must_use]
    pub fn and_bytes(self, bytes: usize) -> Self {
        Self { bytes: bytes.max(1), ..self }
    }

    pub(super) fn most_entries(self) -> usize {
        self.entries
    }

    pub(super) fn most_bytes(self) -> usize {
        self.bytes
    }

    /// As much as one transaction can easily write again, and at most 200 entries.
    pub fn within(limits: &Limits) -> Self {
        Self {
            entries: (limits.transaction_keys / KEYS_OF_AN_ENTRY).clamp(1, PAGE),
            bytes: limits.transaction_bytes / 2,
        }
    }

    /// How many of the first entries make a page, given the bytes of each; one at least, if there is one.
    pub fn first_of(self, sizes: impl Iterator<Item = usize>) -> usize {
        let mut bytes = 0_usize;
        let within = sizes.take(self.entries).enumerate().take_while(|(index, size)| {
            bytes = bytes.saturating_add(*size);
            bytes <= self.bytes || *index == 0
        });
        within.count()
    }
}

impl Walk {
    /// All of a range, in pages of at most 200 entries and 16 MiB.
    pub fn over(range: KeyRange) -> Self {
        let rest = (!range.is_empty()).then_some(range);
        let size = PageSize::entries(PAGE).and_bytes(PAGE_BYTES);
        Self { rest, size, is_reverse: false, looks_ahead: false, mean: None }
    }

    /// In pages of another size.
    #[must_use]
    pub fn in_pages(mut self, size: PageSize) -> Self {
        self.size = size;
        self
    }

    /// From the end of the range to its beginning, if told so.
    #[must_use]
    pub fn reversed(mut self, is_reverse: bool) -> Self {
        self.is_reverse = is_reverse;
        self
    }

    /// Reads one entry more than a page has, so that [`is_over`](Walk::is_over) is true right after the last one that has
    /// any.
    #[must_use]
    pub fn looking_ahead(mut self) -> Self {
        self.looks_ahead = true;
        self
    }

    /// What is left of it within a range.
    #[must_use]
    pub fn within(mut self, range: KeyRange) -> Self {
        self.rest = self.rest.map(|rest| rest.intersection(range)).filter(|rest| !rest.is_empty());
        self
    }

    /// Where it goes on; `None` at the end.
    pub fn position(&self) -> Option<&[u8]> {
        self.rest.as_ref().map(|rest| rest.start.as_slice())
    }

    /// Whether nothing is left.
    pub fn is_over(&self) -> bool {
        self.rest.is_none()
    }

    /// Skips everything before `key`.
    pub fn skip_to(&mut self, key: Vec<u8>) {
        self.rest = self.rest.take().map(|rest| rest.not_before(key)).filter(|rest| !rest.is_empty());
    }

    /// Passes over what comes up to `key`, in the direction in which it goes. Returns whether it was to come to that key.
    pub fn pass(&mut self, key: &[u8]) -> bool {
        let Some(rest) = self.rest.take_if(|rest| rest.contains(key)) else { return false };
        let rest = if self.is_reverse { rest.before(key) } else { rest.after(key) };
        self.rest = Some(rest).filter(|rest| !rest.is_empty());
        true
    }

    /// The next page as a transaction sees it; `None` at the end. Costs one scan.
    ///
    /// # Errors
    /// Those of the scan.
    pub async fn next_in(&mut self, tx: &Transaction) -> Result<Option<Vec<KeyValue>>> {
        self.read(tx, self.size.entries).await
    }

    async fn read(&mut self, tx: &Transaction, entries: usize) -> Result<Option<Vec<KeyValue>>> {
        let Some(rest) = self.rest.clone() else { return Ok(None) };
        let asked = entries.saturating_add(usize::from(self.looks_ahead));
        let scanned = if self.is_reverse { tx.scan_reverse(rest, asked).await } else { tx.scan(rest, asked).await };
        let mut page = scanned?;
        let found = page.len();
        let bytes = |(key, value): &KeyValue| key.len() + value.len();
        page.truncate(self.size.first_of(page.iter().map(bytes)));
        self.mean = page.iter().map(bytes).sum::<usize>().checked_div(page.len());
        match page.last().filter(|_| page.len() < found || found == asked) {
            Some((last, _)) => _ = self.pass(last),
            None => self.rest = None,
        }
        Ok((!page.is_empty()).then_some(page))
    }

    /// How many entries to read so that about the bytes of one page are in memory, even if entries are large.
    fn worth_reading(&self) -> usize {
        let by_bytes = match self.mean {
            _ if self.size.bytes == usize::MAX => usize::MAX,
            None => FIRST_READ,
            Some(mean) => (self.size.bytes / mean.max(1)).max(1),
        };
        self.size.entries.min(by_bytes)
    }

    /// The next page at its own snapshot, so that a long walk holds none for long, and the time at which it was read;
    /// `None` at the end. If pages are bounded in bytes, about that much is read; the first page is short then.
    ///
    /// # Errors
    /// Those of the engine.
    pub async fn next(&mut self, database: &Database) -> Result<Option<(Vec<KeyValue>, Now)>> {
        if self.is_over() {
            return Ok(None);
        }
        let tx = database.begin().await?;
        // A clone walks, so that a call that is cancelled has walked nowhere.
        let mut walk = self.clone();
        let page = walk.read(&tx, walk.worth_reading()).await;
        let now = tx.now();
        tx.rollback().await;
        let page = page?;
        *self = walk;
        Ok(page.map(|page| (page, now)))
    }

    /// Everything that is left, as a transaction sees it.
    ///
    /// # Errors
    /// Those of the scans.
    pub async fn rest_in(mut self, tx: &Transaction) -> Result<Vec<KeyValue>> {
        let mut all = Vec::new();
        while let Some(page) = self.next_in(tx).await? {
            all.extend(page);
        }
        Ok(all)
    }
}

/// Hands all entries of a range to `step`, in order, a page per transaction, and returns the sum of the steps' results.
/// A page has as many entries as one transaction can easily write again.
///
/// # Errors
/// Those of the steps and of the engine; what has been done by then stays done.
pub async fn walk_in_steps<T, F, Fut>(database: &Database, range: KeyRange, step: F) -> Result<T>
where
    T: Default + AddAssign + Send,
    F: Fn(Transaction, Vec<KeyValue>) -> Fut + Send + Sync,
    Fut: Future<Output = Result<T>> + Send,
{
    // Shared and not borrowed: futures that hold closures which borrow can't be spawned.
    let step = Arc::new(step);
    let mut walk = Walk::over(range).in_pages(PageSize::within(database.limits()));
    let mut total = T::default();
    while !walk.is_over() {
        let (from, step) = (walk.clone(), step.clone());
        let transaction = database.transaction(|tx| async move {
            let mut walk = from;
            let done = match walk.next_in(&tx).await? {
                Some(page) => step(tx, page).await?,
                None => T::default(),
            };
            Ok((walk, done))
        });
        // On the heap, as calls are made of many of these.
        let (rest, done) = Box::pin(transaction).await?;
        walk = rest;
        total += done;
    }
    Ok(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_is_read_than_a_page_has_bytes() {
        let walk = |size, mean| Walk { mean, ..Walk::over(KeyRange::prefix("a")).in_pages(size) }.worth_reading();
        let size = PageSize::entries(1_000).and_bytes(10_000);
        assert_eq!(
            [None, Some(0), Some(1), Some(100), Some(99_999)].map(|mean| walk(size, mean)),
            [16, 1_000, 1_000, 100, 1]
        );
        assert_eq!(walk(PageSize::entries(1_000), None), 1_000);
        assert_eq!(walk(PageSize::entries(3).and_bytes(9), None), 3);
    }

    #[test]
    fn a_page_is_cut_by_bytes_but_never_to_nothing() {
        let of = |bytes| PageSize { entries: 9, bytes }.first_of([3, 5, 1].into_iter());
        assert_eq!([0, 3, 8, 9, 99].map(of), [1, 1, 2, 3, 3]);
        assert_eq!(PageSize { entries: 2, bytes: 99 }.first_of([3, 5, 1].into_iter()), 2);
        assert_eq!(PageSize { entries: 2, bytes: 99 }.first_of(std::iter::empty()), 0);
    }
}
