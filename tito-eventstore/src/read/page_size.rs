//! How many rows a page asks for.

/// More rows than this are never asked for at once, however small they are.
const MOST_ROWS: usize = 2048;

/// A first page is small: most entities have few events, and how large they are is not known yet.
const FIRST_ROWS: usize = 64;

/// About how many bytes a page may have.
const TARGET_BYTES: usize = 1 << 20;

/// More bytes than this no page has, whatever follows on small rows, unless a single row does.
const MOST_BYTES: u64 = 16 << 20;

/// Pages grow until they reach a bound in rows or in bytes, by what rows weighed in the last one.
#[derive(Clone, Copy, Debug)]
pub(super) struct PageSize {
    rows: usize,
    most_rows: usize,
}

impl PageSize {
    pub(super) fn new() -> Self {
        Self { rows: FIRST_ROWS, most_rows: MOST_ROWS }
    }

    /// No row has more bytes than this.
    pub(super) fn bound(&mut self, largest: u64) {
        let fitting = MOST_BYTES / largest.max(1);
        self.most_rows = usize::try_from(fitting).unwrap_or(MOST_ROWS).clamp(1, MOST_ROWS);
    }

    pub(super) fn rows(self) -> usize {
        self.rows.min(self.most_rows)
    }

    pub(super) fn saw(&mut self, rows: usize, bytes: usize) {
        let fitting = TARGET_BYTES / (bytes / rows.max(1)).max(1);
        self.rows = fitting.clamp(1, self.rows.saturating_mul(4)).min(MOST_ROWS);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_of_small_rows_grow_to_a_bound() {
        let mut size = PageSize::new();
        let mut rows = Vec::new();
        for _ in 0..5 {
            rows.push(size.rows());
            size.saw(size.rows(), size.rows() * 100);
        }
        assert_eq!(rows, [64, 256, 1024, 2048, 2048]);
    }

    #[test]
    fn no_page_is_larger_than_its_bound_whatever_comes() {
        let mut size = PageSize::new();
        size.bound(1 << 20);
        assert_eq!(size.rows(), 16);
        // Small rows, and then, for all that is known, the large ones.
        (0..5).for_each(|_| size.saw(16, 1600));
        assert_eq!(size.rows(), 16);
        size.bound(1 << 30);
        assert_eq!(size.rows(), 1);
        size.bound(0);
        assert_eq!(size.rows(), 2048);
    }

    #[test]
    fn pages_of_large_rows_shrink_at_once() {
        let mut size = PageSize::new();
        size.saw(64, 64 << 20);
        assert_eq!(size.rows(), 1);
        size.saw(1, 100);
        assert_eq!(size.rows(), 4);
    }
}
