//! Hands out timestamps: the order, not the time.

use std::time::Duration;

use crate::timestamp::Timestamp;

/// The latest time that a clock can show, in the year 4199. Anything later would leave no timestamps to reserve.
const LATEST_MILLIS: u64 = (1 << 46) - 1_000_000;

/// How many timestamps of a reservation are set apart for commits. A commit needs its timestamp once it is durable,
/// which is too late to find that there is none; and on a slow disk transactions can begin up to the reservation's end
/// meanwhile.
pub(super) const LEFT_TO_COMMITS: u64 = 4_096;

/// Unique and increasing timestamps that follow the engine's present and never exceed what was durably reserved, so that
/// none is handed out twice even if the process is killed and the machine's clock set back.
#[derive(Debug)]
pub(super) struct Oracle {
    last: Timestamp,
    reserved: Timestamp,
}

impl Oracle {
    /// Continues after `reserved`.
    pub(super) fn resume(reserved: Timestamp) -> Self {
        Self { last: reserved, reserved }
    }

    /// The next timestamp of a transaction that begins, or `None` if more has to be reserved first.
    pub(super) fn next(&mut self, now_millis: u64) -> Option<Timestamp> {
        if self.is_exhausted(now_millis) {
            return None;
        }
        self.last = self.peek(now_millis);
        Some(self.last)
    }

    /// The next timestamp of a commit. Where the clock has reached the end of the reservation, which a slow disk can
    /// cause, it lags behind the clock for a moment.
    ///
    /// # Panics
    /// If more than [`LEFT_TO_COMMITS`] are asked for without a new reservation or [`is_exhausted`](Oracle::is_exhausted)
    /// in between.
    pub(super) fn next_of_commit(&mut self, now_millis: u64) -> Timestamp {
        let next = if self.is_exhausted(now_millis) { self.last.next() } else { self.peek(now_millis) };
        assert!(next <= self.reserved, "timestamp {next:?} of a commit is past the reservation {:?}", self.reserved);
        self.last = next;
        next
    }

    /// Whether the next timestamp at `now_millis` has to be reserved first.
    pub(super) fn is_exhausted(&self, now_millis: u64) -> bool {
        self.peek(now_millis).raw().saturating_add(LEFT_TO_COMMITS) > self.reserved.raw()
    }

    /// Whether a group of commits would find too few timestamps.
    pub(super) fn is_exhausted_for_commits(&self) -> bool {
        self.last.raw().saturating_add(LEFT_TO_COMMITS) > self.reserved.raw()
    }

    fn peek(&self, now_millis: u64) -> Timestamp {
        self.last.next().max(Timestamp::from_millis(now_millis.min(LATEST_MILLIS)))
    }

    /// The last timestamp that was handed out.
    pub(super) fn last(&self) -> Timestamp {
        self.last
    }

    /// What to reserve at `now_millis`, so far ahead.
    pub(super) fn reservation(&self, now_millis: u64, ahead: Duration) -> Timestamp {
        let millis = self.last.physical_millis().max(now_millis.min(LATEST_MILLIS));
        let ahead = millis.saturating_add(ahead.as_millis() as u64);
        Timestamp::from_millis(ahead).max(self.reserved)
    }

    /// Notes that a reservation is durable.
    pub(super) fn reserve(&mut self, reserved: Timestamp) {
        self.reserved = self.reserved.max(reserved);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::BTreeSet;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_clock_at_its_end_leaves_timestamps() {
        for now_millis in [u64::MAX, 1 << 46, (1 << 46) - 1, (1 << 46) - 500] {
            let mut oracle = Oracle::resume(Timestamp::ZERO);
            oracle.reserve(oracle.reservation(now_millis, SECOND));
            let first = oracle.next(now_millis).unwrap();
            assert!(oracle.next(now_millis).unwrap() > first);
        }
    }

    #[test]
    fn timestamps_follow_the_clock_and_never_go_back() {
        let mut oracle = Oracle::resume(Timestamp::ZERO);
        oracle.reserve(Timestamp::from_millis(10_000));
        assert_eq!(oracle.next(5_000).unwrap(), Timestamp::from_millis(5_000));
        assert_eq!(oracle.next(5_000).unwrap(), Timestamp::from_millis(5_000).next());
        assert_eq!(oracle.next(4_000).unwrap(), Timestamp::from_millis(5_000).next().next());
        assert_eq!(oracle.next(6_000).unwrap(), Timestamp::from_millis(6_000));
    }

    #[test]
    fn nothing_past_the_reservation_is_handed_out() {
        let mut oracle = Oracle::resume(Timestamp::from_millis(5_000));
        assert_eq!(oracle.next(5_000), None);
        let reservation = oracle.reservation(5_000, SECOND);
        assert_eq!(reservation, Timestamp::from_millis(6_000));
        oracle.reserve(reservation);
        assert!(oracle.next(5_000).unwrap() > Timestamp::from_millis(5_000));
        assert_eq!(oracle.next(6_001), None);
    }

    /// A disk so slow that transactions begin up to the end of the reservation while a group is being written.
    #[test]
    fn a_full_group_finds_its_timestamps_however_many_began_meanwhile() {
        for now_millis in [0, 6_000] {
            let mut oracle = Oracle::resume(Timestamp::from_millis(5_000));
            oracle.reserve(oracle.reservation(5_000, SECOND));
            let mut handed_out = BTreeSet::new();
            // The last millisecond before the end: what is left of it are single steps.
            oracle.next(5_999);
            while let Some(timestamp) = oracle.next(now_millis) {
                assert!(handed_out.insert(timestamp));
            }
            for _ in 0..LEFT_TO_COMMITS {
                assert!(handed_out.insert(oracle.next_of_commit(now_millis)), "handed out twice");
            }
        }
    }

    #[test]
    fn a_reservation_of_the_past_changes_nothing() {
        let mut oracle = Oracle::resume(Timestamp::from_millis(5_000));
        oracle.reserve(Timestamp::from_millis(9_000));
        oracle.reserve(Timestamp::from_millis(7_000));
        assert!(oracle.next(8_000).is_some());
    }
}
