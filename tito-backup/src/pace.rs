//! How fast something goes over a database.

use std::sync::Arc;

use tito_core::clock::Clock;

/// Lets so many bytes through a second.
pub(crate) struct Pace {
    clock: Arc<dyn Clock>,
    bytes_per_second: Option<u64>,
    /// By the monotonic clock.
    began_millis: u64,
}

impl Pace {
    pub(crate) fn new(clock: &Arc<dyn Clock>, bytes_per_second: Option<u64>) -> Self {
        Self { clock: clock.clone(), bytes_per_second, began_millis: clock.monotonic_millis() }
    }

    /// Waits until so many bytes may have gone through since the beginning.
    pub(crate) async fn wait_for(&self, bytes: u64) {
        let Some(rate) = self.bytes_per_second else { return };
        let millis = u128::from(bytes) * 1_000 / u128::from(rate);
        let until = self.began_millis.saturating_add(u64::try_from(millis).unwrap_or(u64::MAX));
        if until > self.clock.monotonic_millis() {
            self.clock.wait_until_monotonic(until).await;
        }
    }
}
