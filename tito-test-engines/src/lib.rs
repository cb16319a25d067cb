//! The part of `tito-testkit` that depends only on `tito-core`, so that every crate's tests can use it and a change to
//! a worker doesn't recompile it. Applications use `tito-testkit`, which includes all of it.
//!
//! - [`in_memory`] and [`on_disk`]: engines that leave nothing behind;
//! - with the feature `tikv`, `on_mock_cluster`: the TiKV engine on an in-process cluster, `MockCluster`;
//! - [`TestClock`]: time moved by hand;
//! - [`FaultEngine`]: conflicts, errors, delays and unknown outcomes at the calls that a test selects;
//! - [`mod@conformance`]: what every engine guarantees, as a test suite that an engine runs with one line;
//! - [`history`]: generated concurrent transactions, and a checker for snapshot isolation.
//!
//! Random tests print their seed; set `TITO_SEED` to it to repeat a run ([`seed`]).

mod clock;
pub mod conformance;
#[doc(hidden)]
pub mod each_engine;
mod fault;
pub mod history;
#[doc(hidden)]
pub mod later;
mod random;
mod settings;
mod temporary;
#[cfg(feature = "tikv")]
mod tikv;

pub use clock::TestClock;
pub use fault::{Call, FaultEngine, Faults, Gate, Rule, WithFaults};
pub use random::seed;
pub use settings::EngineSettings;
pub use temporary::{TemporaryDatabase, in_memory, in_memory_with, on_disk, on_disk_with};
#[cfg(feature = "tikv")]
pub use tikv::{TemporaryCluster, on_mock_cluster, on_mock_cluster_with};
#[cfg(feature = "tikv")]
pub use tito_mock_tikv as mock_tikv;
#[cfg(feature = "tikv")]
pub use tito_mock_tikv::MockCluster;
#[doc(hidden)]
pub use tito_test_macros::fact;
