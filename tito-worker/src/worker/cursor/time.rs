//! The engine's time, as a worker knows it from its reads.

use tito_core::{Now, Timestamp};

#[derive(Clone, Copy, Default)]
pub(in crate::worker) struct EngineTime {
    /// In whole seconds, when the latest page was read.
    seen: i64,
    /// How many milliseconds the engine's time is ahead of the monotonic clock.
    ahead: i64,
    /// See [`Now::since`].
    since: Timestamp,
}

impl EngineTime {
    /// Records the time when a page was read, and the monotonic clock before the read. The duration of the read counts
    /// as time that the engine is ahead: too much only costs an early read, too little would hand an event out late.
    pub(super) fn note(&mut self, seen: Now, asked_millis: u64) {
        self.seen = self.seen.max(seen.seconds());
        self.ahead = signed(seen.millis()).saturating_sub(signed(asked_millis));
        self.since = seen.since();
    }

    pub(super) fn seen(&self) -> i64 {
        self.seen
    }

    pub(in crate::worker) fn since(&self) -> Timestamp {
        self.since
    }

    /// The present as far as known, in whole seconds.
    pub(in crate::worker) fn present(&self, clock_millis: u64) -> i64 {
        self.seen.max(signed(clock_millis).saturating_add(self.ahead) / 1_000)
    }

    /// The first second that is present at a moment of the monotonic clock.
    pub(in crate::worker) fn second_at(&self, clock_millis: u64) -> i64 {
        let millis = signed(clock_millis).saturating_add(self.ahead);
        u64::try_from(millis).map_or(0, |millis| signed(millis.div_ceil(1_000)))
    }

    /// When the present will reach a second, in milliseconds of the monotonic clock.
    pub(in crate::worker) fn shows_millis(&self, second: i64) -> u64 {
        u64::try_from(second.saturating_mul(1_000).saturating_sub(self.ahead)).unwrap_or(0)
    }
}

fn signed(millis: u64) -> i64 {
    i64::try_from(millis).unwrap_or(i64::MAX)
}
