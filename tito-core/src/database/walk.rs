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

/// How many bytes it has at most by default.
const PAGE_BYTES: usize = 16 << 20;

/// How many keys a step may write for each entry.
const KEYS_OF_AN_ENTRY: usize = 4;

/// By how much a page grows at once: what follows on small rows may be large.
const GROWTH: usize = 3;

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
    /// How many bytes an entry is likely to have: the mean of the last page, or its last one's; none before the first.
    expected: Option<usize>,
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
        Self { rest, size, is_reverse: false, looks_ahead: false, expected: None }
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
        self.rest = self.beyond(rest, key);
        true
    }

    /// What is left of a range behind a key.
    fn beyond(&self, range: KeyRange, key: &[u8]) -> Option<KeyRange> {
        let rest = if self.is_reverse { range.before(key) } else { range.after(key) };
        Some(rest).filter(|rest| !rest.is_empty())
    }

    /// The next page as a transaction sees it; `None` at the end. Costs one scan, and a few if pages are bounded in
    /// bytes: no scan asks for much more than fits.
    ///
    /// # Errors
    /// Those of the scans.
    pub async fn next_in(&mut self, tx: &Transaction) -> Result<Option<Vec<KeyValue>>> {
        let Some(range) = self.rest.clone() else { return Ok(None) };
        let PageSize { entries, bytes: most_bytes } = self.size;
        let wanted = entries.saturating_add(usize::from(self.looks_ahead));
        // As many as fit for certain, if nothing is known of their size, and then by the size of those before.
        let size = self.expected.unwrap_or(tx.database().limits().value_bytes);
        let mut asked = (most_bytes / size.max(1)).clamp(1, wanted);
        let (mut page, mut bytes, mut rest) = (Vec::new(), 0_usize, Some(range));
        while let Some(range) = rest.take() {
            let scan = range.clone();
            let found = if self.is_reverse { tx.scan_reverse(scan, asked).await } else { tx.scan(scan, asked).await }?;
            bytes = bytes.saturating_add(found.iter().map(size_of_entry).sum());
            rest = found.last().filter(|_| found.len() == asked).and_then(|(last, _)| self.beyond(range, last));
            page.extend(found);
            if page.len() >= wanted || bytes >= most_bytes || page.is_empty() {
                break;
            }
            let fitting = (most_bytes - bytes) / (bytes / page.len()).max(1);
            asked = fitting.clamp(1, page.len() * GROWTH).min(wanted - page.len());
        }
        let found = page.len();
        page.truncate(self.size.first_of(page.iter().map(size_of_entry)));
        let mean = page.iter().map(size_of_entry).sum::<usize>().checked_div(page.len());
        self.expected = mean.max(page.last().map(size_of_entry));
        match page.last().filter(|_| page.len() < found) {
            Some((last, _)) => _ = self.pass(last),
            None => self.rest = rest,
        }
        Ok((!page.is_empty()).then_some(page))
    }

    /// The next page at its own snapshot, so that a long walk holds none for long, and the time at which it was read;
    /// `None` at the end.
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
        let page = walk.next_in(&tx).await;
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

fn size_of_entry((key, value): &KeyValue) -> usize {
    key.len() + value.len()
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
    fn a_page_is_cut_by_bytes_but_never_to_nothing() {
        let of = |bytes| PageSize { entries: 9, bytes }.first_of([3, 5, 1].into_iter());
        assert_eq!([0, 3, 8, 9, 99].map(of), [1, 1, 2, 3, 3]);
        assert_eq!(PageSize { entries: 2, bytes: 99 }.first_of([3, 5, 1].into_iter()), 2);
        assert_eq!(PageSize { entries: 2, bytes: 99 }.first_of(std::iter::empty()), 0);
    }
}
