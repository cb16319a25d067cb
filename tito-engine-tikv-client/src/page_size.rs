//! How many rows one request asks for.
//!
//! The client refuses an answer over its decode limit, after seconds of asking again, and TiKV bounds the answer to a
//! scan or a batch by rows only: so rows are asked for by what they weighed lately.

use std::sync::atomic::{AtomicUsize, Ordering};

/// More rows than this are never asked for at once, however small they are.
const MOST_ROWS: usize = 4096;

/// What a row is taken to weigh before any was seen: with the default limit of messages, pages begin at 256 rows.
const FIRST_ROW_BYTES: usize = 64 << 10;

/// What rows weighed lately, over all reads of one engine.
#[derive(Debug)]
pub(super) struct PageSize {
    target_bytes: usize,
    row_bytes: AtomicUsize,
}

impl PageSize {
    /// Pages of up to a quarter of the largest message: rows vary, and there is room for four times the mean.
    pub(super) fn new(max_message_bytes: usize) -> Self {
        Self { target_bytes: (max_message_bytes / 4).max(1), row_bytes: AtomicUsize::new(FIRST_ROW_BYTES) }
    }

    /// How many rows to ask for when `needed` are wanted.
    pub(super) fn rows(&self, needed: usize) -> usize {
        let fitting = self.target_bytes / self.row_bytes.load(Ordering::Relaxed).max(1);
        needed.min(fitting.clamp(1, MOST_ROWS))
    }

    /// Learns from a page. Larger rows count at once, smaller ones slowly.
    pub(super) fn saw(&self, rows: usize, bytes: usize) {
        if rows == 0 {
            return;
        }
        let mean = (bytes / rows).max(1);
        let before = self.row_bytes.load(Ordering::Relaxed);
        let after = if mean > before { mean } else { before - before.div_ceil(4) + mean.div_ceil(4) };
        self.row_bytes.store(after.max(1), Ordering::Relaxed);
    }

    /// Learns that so many rows did not fit, and tells how many to try instead. None if it was a single one.
    pub(super) fn did_not_fit(&self, rows: usize) -> Option<usize> {
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

    #[test]
    fn a_page_begins_with_256_rows_and_never_exceeds_what_is_needed() {
        let size = PageSize::new(MAX_MESSAGE_BYTES);
        assert_eq!(size.rows(1_000_000), 256);
        assert_eq!(size.rows(10), 10);
    }

    #[test]
    fn small_rows_make_pages_grow_to_a_bound() {
        let size = PageSize::new(MAX_MESSAGE_BYTES);
        for _ in 0..50 {
            size.saw(256, 256 * 100);
        }
        assert_eq!(size.rows(1_000_000), MOST_ROWS);
    }

    #[test]
    fn one_page_of_large_rows_makes_the_next_fit() {
        let size = PageSize::new(MAX_MESSAGE_BYTES);
        size.saw(16, 16 << 20);
        assert_eq!(size.rows(1_000_000), 16);
        assert!(size.rows(1_000_000) * (1 << 20) <= MAX_MESSAGE_BYTES);
    }

    #[test]
    fn pages_that_do_not_fit_are_halved_down_to_one_row() {
        let size = PageSize::new(MAX_MESSAGE_BYTES);
        assert_eq!(size.did_not_fit(256), Some(128));
        assert_eq!(size.rows(1_000_000), 128);
        assert_eq!(size.did_not_fit(3), Some(1));
        assert_eq!(size.rows(1_000_000), 1);
        assert_eq!(size.did_not_fit(1), None);
    }

    #[test]
    fn the_smallest_message_still_carries_a_row() {
        assert_eq!(PageSize::new(0).rows(100), 1);
    }
}
