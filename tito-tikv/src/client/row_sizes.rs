//! How many rows one request asks for: a store can't be told a limit in bytes, so rows are asked for by what they weighed
//! lately, over all reads of a client.
use std::sync::atomic::{AtomicUsize, Ordering};

use tito_tikv_proto::kvrpcpb::KvPair;

/// More rows than this are never asked for at once, however small they are.
const MOST_ROWS: usize = 4_096;

/// What a row is taken to weigh before any was seen: with the default limit of messages, pages begin at 256 rows.
const FIRST_ROW_BYTES: usize = 64 << 10;

/// What rows weighed lately.
#[derive(Debug)]
pub(crate) struct RowSizes {
    target_bytes: usize,
    row_bytes: AtomicUsize,
}

impl RowSizes {
    /// For pages of up to a quarter of the largest message: rows vary, and there is room for four times the mean.
    pub(crate) fn new(max_message_bytes: usize) -> Self {
        RowSizes { target_bytes: (max_message_bytes / 4).max(1), row_bytes: AtomicUsize::new(FIRST_ROW_BYTES) }
    }

    /// How many rows to ask for when so many are wanted.
    pub(crate) fn rows(&self, wanted: usize) -> usize {
        let fitting = self.target_bytes / self.row_bytes.load(Ordering::Relaxed).max(1);
        wanted.min(fitting.clamp(1, MOST_ROWS))
    }

    /// Learns from an answer. Larger rows count at once, smaller ones slowly.
    pub(crate) fn saw(&self, pairs: &[KvPair]) {
        let bytes: usize = pairs.iter().map(|pair| pair.key.len() + pair.value.len() + 16).sum();
        let Some(mean) = bytes.checked_div(pairs.len()) else { return };
        let before = self.row_bytes.load(Ordering::Relaxed);
        let after = if mean > before { mean } else { before - before.div_ceil(4) + mean.div_ceil(4) };
        self.row_bytes.store(after.max(1), Ordering::Relaxed);
    }

    /// Learns that so many rows did not fit, and tells how many to try instead. `None` if it was a single one.
    pub(crate) fn did_not_fit(&self, rows: usize) -> Option<usize> {
        let fewer = rows / 2;
        if fewer == 0 {
            return None;
        }
        self.row_bytes.fetch_max(self.target_bytes / fewer, Ordering::Relaxed);
        Some(fewer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAX_MESSAGE_BYTES: usize = 64 << 20;

    fn rows(count: usize, bytes: usize) -> Vec<KvPair> {
        vec![KvPair { value: vec![0; bytes], ..KvPair::default() }; count]
    }

    #[test]
    fn a_page_begins_with_256_rows_and_never_exceeds_what_is_wanted() {
        let sizes = RowSizes::new(MAX_MESSAGE_BYTES);
        assert_eq!((sizes.rows(1_000_000), sizes.rows(10)), (256, 10));
    }

    #[test]
    fn small_rows_make_pages_grow_to_a_bound() {
        let sizes = RowSizes::new(MAX_MESSAGE_BYTES);
        for _ in 0..50 {
            sizes.saw(&rows(256, 100));
        }
        assert_eq!(sizes.rows(1_000_000), MOST_ROWS);
    }

    #[test]
    fn one_page_of_large_rows_makes_the_next_fit() {
        let sizes = RowSizes::new(MAX_MESSAGE_BYTES);
        sizes.saw(&rows(4, 1 << 20));
        assert!((15..=16).contains(&sizes.rows(1_000_000)), "{}", sizes.rows(1_000_000));
    }

    #[test]
    fn pages_that_do_not_fit_are_halved_down_to_one_row() {
        let sizes = RowSizes::new(MAX_MESSAGE_BYTES);
        assert_eq!((sizes.did_not_fit(256), sizes.rows(1_000_000)), (Some(128), 128));
        assert_eq!((sizes.did_not_fit(3), sizes.rows(1_000_000)), (Some(1), 1));
        assert_eq!(sizes.did_not_fit(1), None);
        assert_eq!(RowSizes::new(0).rows(100), 1, "the smallest message still carries a row");
    }
}
