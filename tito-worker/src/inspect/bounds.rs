//! How far a search goes.

use std::time::Duration;

use tito_core::Database;

/// How far a search goes before it returns with a place where another one can continue.
///
/// ```
/// use std::time::Duration;
/// use tito_worker::SearchBounds;
/// let patient = SearchBounds::default().time(Duration::from_secs(30)).rows(1_000_000);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct SearchBounds {
    time: Duration,
    pub(crate) rows: u64,
}

impl Default for SearchBounds {
    fn default() -> Self {
        Self { time: Duration::from_secs(5), rows: 100_000 }
    }
}

impl SearchBounds {
    /// How long it takes at most, by the engine's monotonic clock, not counting its last page. Default 5 s.
    pub fn time(mut self, time: Duration) -> Self {
        self.time = time;
        self
    }

    /// How many rows it reads at most, apart from the rest of its last page. Default 100,000.
    pub fn rows(mut self, rows: u64) -> Self {
        self.rows = rows;
        self
    }

    /// When it ends that begins now, in milliseconds of the monotonic clock.
    pub(crate) fn ends(&self, database: &Database) -> u64 {
        let millis = u64::try_from(self.time.as_millis()).unwrap_or(u64::MAX);
        database.clock().monotonic_millis().saturating_add(millis)
    }
}
