//! The engine settings of a test.

use std::sync::Arc;
use std::time::Duration;

use tito_core::clock::{Clock, SystemClock};
use tito_core::engine::Limits;

use crate::clock::TestClock;

/// The PD addresses of a real cluster for the tests that can use one, separated by commas.
pub(crate) const REAL_CLUSTER: &str = "TITO_TEST_PD";

/// Settings that every engine supports, for tests that open one.
///
/// ```
/// # use tito_test_engines as tito_testkit;
/// use std::time::Duration;
/// use tito_testkit::{EngineSettings, TestClock};
///
/// let clock = TestClock::new();
/// let settings = EngineSettings::default().test_clock(&clock).max_transaction_age(Duration::from_secs(5));
/// ```
#[derive(Clone, Debug)]
pub struct EngineSettings {
    /// The source of the engine's timestamps. The machine's clock by default.
    pub clock: Arc<dyn Clock>,
    /// How large keys, values and transactions may be.
    pub limits: Limits,
    /// How old a transaction may be when it commits. 30 s by default.
    pub max_transaction_age: Duration,
    /// The clock, if the test moves it by hand.
    test_clock: Option<TestClock>,
}

impl Default for EngineSettings {
    fn default() -> Self {
        Self {
            clock: Arc::new(SystemClock),
            limits: Limits::default(),
            max_transaction_age: Duration::from_secs(30),
            test_clock: None,
        }
    }
}

impl EngineSettings {
    /// Uses a clock that the test moves by hand to drive the engine.
    #[must_use]
    pub fn test_clock(mut self, clock: &TestClock) -> Self {
        self.clock = clock.shared();
        self.test_clock = Some(clock.clone());
        self
    }

    /// For an engine whose clock can't be moved: a clock meant to be moved by hand follows the machine's instead.
    #[cfg(feature = "tikv")]
    pub(crate) fn with_a_clock_that_runs(self) -> Self {
        if let Some(clock) = &self.test_clock {
            clock.follow_the_system();
        }
        self
    }

    /// Sets how large keys, values and transactions may be.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Sets how old a transaction may be when it commits.
    #[must_use]
    pub fn max_transaction_age(mut self, age: Duration) -> Self {
        self.max_transaction_age = age;
        self
    }
}
