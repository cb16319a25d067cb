//! Walks ranges of keys in transactions of bounded size.

use std::future::Future;
use std::ops::AddAssign;
use std::sync::Arc;

use tito_core::engine::KeyValue;
use tito_core::keys::KeyRange;
use tito_core::{Database, Result, Transaction};

/// How many entries one transaction deals with at the most.
pub(crate) const STEP: usize = 200;

/// How many keys a step may write for each entry.
pub(crate) const KEYS_OF_AN_ENTRY: usize = 4;

/// Hands all entries of a range to `step`, in order, each transaction a page of them, and returns the sum of what the
/// steps came to. A page has as many entries as can be written again with room to spare.
pub(crate) async fn in_batches<T, F, Fut>(engine: &Database, mut range: KeyRange, step: F) -> Result<T>
where
    T: Default + AddAssign + Send,
    F: Fn(Transaction, Vec<KeyValue>) -> Fut + Send + Sync,
    Fut: Future<Output = Result<T>> + Send,
{
    // Shared and not borrowed: futures that hold closures which borrow can't be spawned.
    let step = Arc::new(step);
    let most_entries = (engine.limits().transaction_keys / KEYS_OF_AN_ENTRY).clamp(1, STEP);
    let most_bytes = engine.limits().transaction_bytes / 2;
    let mut total = T::default();
    loop {
        let (page_range, step) = (range.clone(), step.clone());
        let transaction = engine.transaction(|tx| async move {
            let mut page = tx.scan(page_range, most_entries).await?;
            let found = page.len();
            page.truncate(entries_within(&page, most_bytes));
            let is_last = page.len() == found && found < most_entries;
            let last = page.last().filter(|_| !is_last).map(|(key, _)| key.clone());
            if page.is_empty() {
                return Ok((last, T::default()));
            }
            Ok((last, step(tx, page).await?))
        });
        // On the heap, as calls are made of many of these.
        let (last, done) = Box::pin(transaction).await?;
        total += done;
        match last {
            Some(last) => range = range.after(&last),
            None => return Ok(total),
        }
    }
}

/// How many of the first entries have this many bytes together; one at least.
fn entries_within(page: &[KeyValue], most_bytes: usize) -> usize {
    let mut bytes = 0;
    let within = page.iter().take_while(|(key, value)| {
        bytes += key.len() + value.len();
        bytes <= most_bytes
    });
    within.count().max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_cut_by_bytes_but_never_to_nothing() {
        let page: Vec<_> = [3, 5, 1].map(|size| (vec![0], vec![0; size])).into();
        assert_eq!([0, 4, 9, 10, 12, 99].map(|bytes| entries_within(&page, bytes)), [1, 1, 1, 2, 3, 3]);
    }
}
