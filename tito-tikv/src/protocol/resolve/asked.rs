//! What goes into resolving locks, and what comes out.
use tito_tikv_proto::kvrpcpb::{LockInfo, Op};

use crate::Timestamp;

/// One transaction's locks that were met, and who met them.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    /// The transaction's start timestamp.
    pub(crate) start: u64,
    /// The key that decides its fate, according to the locks.
    pub(crate) primary: Vec<u8>,
    /// The locks, all from this transaction; at least one.
    pub(crate) locks: Vec<LockInfo>,
    /// The snapshot of the reader that met them; 0 for a writer.
    pub(crate) caller_start: u64,
    /// PD's time.
    pub(crate) now: u64,
    /// Whether a reader asks, who can pass a lock that doesn't concern its snapshot.
    pub(crate) is_read: bool,
    /// What is already known about the transaction.
    pub(crate) known: Option<Status>,
    /// How long resolving may take.
    pub(crate) deadline_millis: u64,
}

/// What became of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    /// It is committed.
    Committed(u64),
    /// It is rolled back for good.
    RolledBack,
    /// It is in progress, and can only be committed after the reader's snapshot.
    Pushed,
    /// It is in progress for at least this many milliseconds.
    Alive { left_millis: u64 },
    /// Its pessimistic locks had expired and can go; nothing is known about the transaction.
    Released,
}

impl Status {
    pub(crate) fn commit_ts(self) -> Option<u64> {
        match self {
            Status::Committed(commit_ts) => Some(commit_ts),
            _ => None,
        }
    }

    /// Whether it stays so for ever.
    pub(crate) fn is_final(self) -> bool {
        matches!(self, Status::Committed(_) | Status::RolledBack)
    }
}

impl Asked {
    /// Whether all these locks have expired.
    pub(super) fn is_expired(&self) -> bool {
        self.left_millis() == 0
    }

    /// How long the longest-lived lock has left.
    pub(super) fn left_millis(&self) -> u64 {
        let ttl = self.locks.iter().map(|lock| lock.lock_ttl).max().unwrap_or(0);
        left_millis(self.start, ttl, self.now)
    }

    /// Remove pessimistic locks of a key up to this timestamp.
    pub(super) fn for_update_ts(&self) -> u64 {
        let highest = self.locks.iter().map(|lock| lock.lock_for_update_ts).max().unwrap_or(0);
        if highest == 0 { u64::MAX } else { highest }
    }
}

pub(super) fn is_pessimistic(lock: &LockInfo) -> bool {
    lock.lock_type() == Op::PessimisticLock
}

/// How many milliseconds a lock has left. It expires only after the last one, as in TiKV.
pub(super) fn left_millis(start: u64, ttl: u64, now: u64) -> u64 {
    let end = Timestamp::from_raw(start).physical_millis().saturating_add(ttl);
    let now = Timestamp::from_raw(now).physical_millis();
    if now > end { 0 } else { (end - now).saturating_add(1) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_lives_through_the_last_millisecond_of_its_time() {
        let start = Timestamp::new(1_000, 5).raw();
        for (now, left) in [(1_000, 101), (1_099, 2), (1_100, 1), (1_101, 0), (5_000, 0)] {
            assert_eq!(left_millis(start, 100, Timestamp::new(now, 0).raw()), left, "at {now}");
        }
        assert!(left_millis(start, u64::MAX, u64::MAX) > 0, "no overflow");
    }
}
