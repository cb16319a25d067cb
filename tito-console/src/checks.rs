//! What an application has to be ready, beside an engine that answers.

use std::fmt;
use std::time::Duration;

use tokio::sync::Mutex;

use crate::api::Check;

type IsWell = dyn Fn() -> Result<(), String> + Send + Sync;

/// The checks of the application.
#[derive(Default)]
pub(crate) struct Checks {
    pub(crate) own: Vec<(String, Box<IsWell>)>,
    /// How long the events of queues may have been due.
    pub(crate) lags: Vec<(String, Duration)>,
    /// What was asked of the engine last.
    pub(crate) asked: Mutex<Option<AskedChecks>>,
}

/// Checks that cost something.
#[derive(Debug)]
pub(crate) struct AskedChecks {
    /// When, by the monotonic clock.
    pub(crate) at_millis: u64,
    pub(crate) timestamp: Check,
    pub(crate) lags: Vec<Check>,
}

impl fmt::Debug for Checks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.own.iter().map(|(name, _)| name).collect();
        f.debug_struct("Checks").field("own", &names).field("lags", &self.lags).finish()
    }
}
