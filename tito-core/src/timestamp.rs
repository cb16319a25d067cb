//! Order and now: timestamps, which order everything that happens in a database, and the time that decides what is due.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How many low bits of a timestamp count events within one millisecond.
const LOGICAL_BITS: u32 = 18;

/// A point in the history of one database: physical milliseconds since the Unix epoch shifted left by 18 bits, or'ed
/// with a logical counter.
///
/// This is the layout of TiKV's timestamp oracle (`pd/pkg/tso`), and the embedded engine uses the same. Timestamps are
/// unique and increasing over the whole database, also across restarts, whatever the machine's clock does. They only
/// order: after a clock was wrong, they can be ahead of the time for as long as it was. The time that decides what is
/// due is [`Now`]; a timestamp is never behind it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The smallest timestamp; no transaction has it.
    pub const ZERO: Self = Self(0);

    /// The timestamp with this raw value, as TiKV writes it.
    pub const fn from_raw(raw: u64) -> Self {
        Self(raw)
    }

    /// The first timestamp of a millisecond. Milliseconds that don't fit into 46 bits (past the year 4199) are cut.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis << LOGICAL_BITS)
    }

    /// The raw value, as TiKV writes it.
    pub const fn raw(self) -> u64 {
        self.0
    }

    /// Milliseconds since the Unix epoch.
    pub const fn physical_millis(self) -> u64 {
        self.0 >> LOGICAL_BITS
    }

    /// The counter within the millisecond, below 2^18.
    pub const fn logical(self) -> u32 {
        (self.0 & ((1 << LOGICAL_BITS) - 1)) as u32
    }

    /// The next timestamp. The counter runs over into the milliseconds.
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }

    /// How many milliseconds this timestamp lies after `earlier`; 0 if it lies before.
    pub const fn millis_since(self, earlier: Self) -> u64 {
        self.physical_millis().saturating_sub(earlier.physical_millis())
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}ms+{}", self.physical_millis(), self.logical())
    }
}

/// The current time of a database, which decides what is due: milliseconds since the Unix epoch, by the engine's time
/// and never a client's. Unlike a [`Timestamp`] it can go back: if the machine's clock is set and stays so, the
/// embedded engine follows it. Otherwise it passes steadily.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    millis: u64,
    since: Timestamp,
}

impl Now {
    /// The current time of an engine that never sets its time.
    pub const fn from_millis(millis: u64) -> Self {
        Self { millis, since: Timestamp::ZERO }
    }

    /// The current time of an engine that has set its time: `last` is the last timestamp that was handed out before it
    /// was last set.
    pub const fn set_after(millis: u64, last: Timestamp) -> Self {
        Self { millis, since: last }
    }

    /// Milliseconds since the Unix epoch.
    pub const fn millis(self) -> u64 {
        self.millis
    }

    /// Whole seconds since the Unix epoch, rounded down: the resolution in which events fall due.
    pub const fn seconds(self) -> i64 {
        (self.millis / 1000) as i64
    }

    /// The first whole second that is at least `delay` after this: rounded up, so that nothing that waits for it is early.
    pub fn seconds_after(self, delay: Duration) -> i64 {
        let millis = u128::from(self.millis) + delay.as_millis();
        i64::try_from(millis.div_ceil(1000)).unwrap_or(i64::MAX)
    }

    /// How many milliseconds it is after an earlier one; 0 if it is before it.
    pub const fn millis_since(self, earlier_millis: u64) -> u64 {
        self.millis.saturating_sub(earlier_millis)
    }

    /// The last timestamp that was handed out before the engine last set its time since it was opened;
    /// [`Timestamp::ZERO`] if it did not. Between two values of `Now` with the same value here, time has passed
    /// steadily.
    pub const fn since(self) -> Timestamp {
        self.since
    }

    /// The time this many milliseconds before.
    #[must_use]
    pub const fn less(self, millis: u64) -> Self {
        Self { millis: self.millis.saturating_sub(millis), ..self }
    }
}

impl fmt::Display for Now {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ms", self.millis)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_a_timestamp() {
        // 400_000_000_000_000_000 is a timestamp as PD hands them out in 2018.
        let timestamp = Timestamp::from_raw((1_525_878_906_250 << 18) | 77);
        assert_eq!(timestamp.physical_millis(), 1_525_878_906_250);
        assert_eq!(timestamp.logical(), 77);
        assert_eq!(Now::from_millis(timestamp.physical_millis()).seconds(), 1_525_878_906);
        assert_eq!(timestamp.to_string(), "1525878906250ms+77");
    }

    #[test]
    fn a_delay_is_rounded_up_to_whole_seconds() {
        let now = Now::from_millis(10_900);
        assert_eq!(now.seconds_after(Duration::from_secs(60)), 71);
        assert_eq!(now.seconds_after(Duration::from_millis(100)), 11);
        assert_eq!(now.seconds_after(Duration::MAX), i64::MAX);
    }

    #[test]
    fn the_counter_runs_over_into_the_milliseconds() {
        let last = Timestamp::from_raw((7 << 18) | ((1 << 18) - 1));
        assert_eq!(last.next(), Timestamp::from_millis(8));
    }
}
