//! Logs rows that can't be read and are skipped.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use super::handle::Database;
use crate::error::TitoError;

/// How often a row that stays damaged is logged, by the monotonic clock.
const EVERY_MILLIS: u64 = 600_000;

/// How many rows are remembered; beyond that, rows are not logged one by one.
const MOST: usize = 1_000;

/// When each row was last logged, by key.
#[derive(Default)]
struct DamageLog(Mutex<BTreeMap<Vec<u8>, u64>>);

impl DamageLog {
    /// Whether a row is to be logged now.
    fn is_news(&self, key: &[u8], monotonic_millis: u64) -> bool {
        let mut logged = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_recent = |at: &u64| monotonic_millis.saturating_sub(*at) < EVERY_MILLIS;
        if logged.get(key).is_some_and(is_recent) {
            return false;
        }
        if logged.len() >= MOST {
            logged.retain(|_, at| is_recent(at));
        }
        let has_room = logged.len() < MOST;
        if has_room {
            logged.insert(key.to_vec(), monotonic_millis);
        }
        has_room
    }
}

impl Database {
    /// Logs a row of Tito's own that can't be read and is skipped so that the others are not held back: with its key,
    /// which the error names, at most once in ten minutes. `consequence` says what follows from that.
    #[doc(hidden)]
    pub fn log_damaged(&self, error: &TitoError, consequence: &'static str) {
        let key = match error {
            TitoError::Malformed { key, .. } => key.as_bytes(),
            _ => b"",
        };
        if self.shared().value::<DamageLog>().is_news(key, self.clock().monotonic_millis()) {
            tracing::warn!(%error, "{consequence}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_logged_now_and_then_and_many_are_not_logged_without_end() {
        let log = DamageLog::default();
        let news = |now| (0..2 * MOST).filter(|key| log.is_news(&key.to_be_bytes(), now)).count();
        assert_eq!([news(5), news(EVERY_MILLIS), news(EVERY_MILLIS + 5), news(EVERY_MILLIS + 6)], [MOST, 0, MOST, 0]);
    }
}
