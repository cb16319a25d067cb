//! Hands out timestamps.

use crate::timestamp::Timestamp;

/// How far ahead timestamps are reserved. After a crash, timestamps go on from the reservation, so the engine's clock
/// can stand this much ahead of the machine's until that has caught up.
const RESERVED_AHEAD_MILLIS: u64 = 1_000;

/// Unique and increasing timestamps that follow the physical clock and never exceed what was durably reserved, so that
/// none is handed out twice even if the process is killed and the machine's clock set back.
#[derive(Debug)]
pub(super) struct Oracle {
    last: Timestamp,
    reserved: Timestamp,
}

impl Oracle {
    /// Continues after everything up to `reserved`.
    pub(super) fn resume(reserved: Timestamp) -> Self {
        Self { last: reserved, reserved }
    }

    /// The next timestamp, or `None` if more has to be reserved first.
    pub(super) fn next(&mut self, now_millis: u64) -> Option<Timestamp> {
        if self.is_exhausted(now_millis) {
            return None;
        }
        self.last = self.peek(now_millis);
        Some(self.last)
    }

    /// Whether the next timestamp at `now_millis` has to be reserved first.
    pub(super) fn is_exhausted(&self, now_millis: u64) -> bool {
        self.peek(now_millis) > self.reserved
    }

    fn peek(&self, now_millis: u64) -> Timestamp {
        self.last.next().max(Timestamp::from_millis(now_millis))
    }

    /// The last timestamp that was handed out.
    pub(super) fn last(&self) -> Timestamp {
        self.last
    }

    /// What to reserve at `now_millis`.
    pub(super) fn reservation(&self, now_millis: u64) -> Timestamp {
        let ahead = self.last.physical_millis().max(now_millis).saturating_add(RESERVED_AHEAD_MILLIS);
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
    use super::*;

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
        let reservation = oracle.reservation(5_000);
        assert_eq!(reservation, Timestamp::from_millis(6_000));
        oracle.reserve(reservation);
        assert!(oracle.next(5_000).unwrap() > Timestamp::from_millis(5_000));
        assert_eq!(oracle.next(6_001), None);
    }

    #[test]
    fn a_reservation_of_the_past_changes_nothing() {
        let mut oracle = Oracle::resume(Timestamp::from_millis(5_000));
        oracle.reserve(Timestamp::from_millis(9_000));
        oracle.reserve(Timestamp::from_millis(7_000));
        assert!(oracle.next(8_000).is_some());
    }
}
