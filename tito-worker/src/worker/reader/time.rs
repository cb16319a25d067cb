//! The engine's time, as a worker knows it from what it has read.

use tito_core::Timestamp;

#[derive(Default)]
pub(in crate::worker) struct EngineTime {
    /// In whole seconds, when the latest page was read.
    seen: i64,
    /// By how many milliseconds the clock is ahead of the engine's time.
    lead: u64,
}

impl EngineTime {
    /// Notes when a page was read, and what the clock showed before the read, whose own duration would pass for a lead:
    /// rather too small, at the price of a read that comes too early, than too large, at the price of an event that is
    /// handed out late.
    pub(super) fn note(&mut self, seen: Timestamp, asked_millis: u64) {
        self.seen = self.seen.max(seen.seconds());
        self.lead = asked_millis.saturating_sub(seen.physical_millis());
    }

    pub(super) fn seen(&self) -> i64 {
        self.seen
    }

    /// As far as it is known, in whole seconds. It stands still while a clock that was set back catches up.
    pub(in crate::worker) fn present(&self, now_millis: u64) -> i64 {
        let by_clock = now_millis.saturating_sub(self.lead) / 1000;
        self.seen.max(by_clock as i64)
    }

    /// When the present will be a second, in milliseconds of the clock.
    pub(in crate::worker) fn shows_millis(&self, second: i64) -> u64 {
        u64::try_from(second).unwrap_or(0).saturating_mul(1_000).saturating_add(self.lead)
    }
}
