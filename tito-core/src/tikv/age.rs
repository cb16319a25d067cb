//! How old a transaction is, or a hold on its snapshot.

use std::time::Instant;

use super::Core;

/// When a transaction began: by the engine's clock, which tests turn, and by the machine's.
#[derive(Clone, Copy)]
pub(super) struct Age {
    pub(super) began_millis: u64,
    pub(super) began: Instant,
}

impl Age {
    /// Of what begins now.
    pub(super) fn from_now(core: &Core) -> Self {
        Self { began_millis: core.settings.clock.monotonic_millis(), began: Instant::now() }
    }

    /// The age in milliseconds, never below what the cluster would say, as long as the clocks go at one rate.
    pub(super) fn millis(&self, core: &Core) -> u64 {
        let by_clock = core.settings.clock.monotonic_millis().saturating_sub(self.began_millis);
        by_clock.max(u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX))
    }
}
