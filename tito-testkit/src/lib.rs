//! Tools for testing applications and engines on Tito.
//!
//! - [`in_memory`] and [`on_disk`]: engines that leave nothing behind;
//! - with the feature `tikv`, `on_mock_cluster`: the TiKV engine on an in-process cluster, `MockCluster`;
//! - [`TestClock`]: time moved by hand, so that a reminder an hour away is tested in a millisecond;
//! - [`Harness`]: runs a worker until nothing is due, and returns what was handled;
//! - [`Scenario`]: given these events, when this command, then those events, for a model of an event store;
//! - [`FaultEngine`]: conflicts, errors, delays and unknown outcomes at the calls that a test selects, and call counts,
//!   so that a test can check how many round trips something takes;
//! - [`mod@conformance`]: what every engine guarantees, as a test suite that an engine runs with one line;
//! - [`history`]: generated concurrent transactions, and a checker for snapshot isolation.
//!
//! ```
//! use std::time::Duration;
//! use tito_core::prelude::*;
//! use tito_testkit::{EngineSettings, TestClock};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), TitoError> {
//! let clock = TestClock::new();
//! let db = tito_testkit::in_memory_with(EngineSettings::default().test_clock(&clock)).await?;
//!
//! let before = db.timestamp().await?;
//! clock.advance(Duration::from_secs(3600));
//! assert_eq!(db.timestamp().await?.millis_since(before), 3_600_000);
//! # Ok(())
//! # }
//! ```
//!
//! Random tests print their seed; set `TITO_SEED` to it to repeat a run ([`seed`]).

mod harness;
#[cfg(feature = "eventstore")]
mod scenario;

pub use harness::{Handled, Harness};
#[cfg(feature = "eventstore")]
pub use scenario::{Decided, Scenario};
#[doc(inline)]
pub use tito_test_engines::*;
