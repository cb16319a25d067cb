//! PD's timestamps.
use std::fmt;

/// How many low bits count within a millisecond.
const LOGICAL_BITS: u32 = 18;

/// A point in the cluster's single order: PD's milliseconds since the epoch, and a counter within the millisecond.
///
/// Timestamps are unique in a cluster and increase. A transaction takes one at its start and one at its commit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The latest timestamp: a read at it sees everything that is committed.
    pub const MAX: Timestamp = Timestamp(u64::MAX);

    /// From the number that TiKV uses.
    pub const fn from_raw(raw: u64) -> Self {
        Timestamp(raw)
    }

    /// From milliseconds since the epoch and the counter within them, of which the low 18 bits count.
    pub const fn new(physical_millis: u64, logical: u64) -> Self {
        Timestamp((physical_millis << LOGICAL_BITS) | (logical & ((1 << LOGICAL_BITS) - 1)))
    }

    /// The number that TiKV uses.
    pub const fn raw(self) -> u64 {
        self.0
    }

    /// Milliseconds since the epoch, by PD's clock.
    pub const fn physical_millis(self) -> u64 {
        self.0 >> LOGICAL_BITS
    }

    /// The counter within the millisecond.
    pub const fn logical(self) -> u64 {
        self.0 & ((1 << LOGICAL_BITS) - 1)
    }

    /// Milliseconds since an earlier timestamp; 0 if it is not earlier.
    pub const fn millis_since(self, earlier: Timestamp) -> u64 {
        self.physical_millis().saturating_sub(earlier.physical_millis())
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn milliseconds_and_counter_are_told_apart() {
        let timestamp = Timestamp::new(1_700_000_000_123, 7);
        assert_eq!((timestamp.physical_millis(), timestamp.logical()), (1_700_000_000_123, 7));
        assert_eq!(Timestamp::from_raw(timestamp.raw()), timestamp);
        assert_eq!(timestamp.millis_since(Timestamp::new(1_700_000_000_100, 9)), 23);
        assert_eq!(Timestamp::new(1, 0).millis_since(Timestamp::new(2, 0)), 0);
    }
}
