//! Testkit.
pub mod clock;
pub mod fault;
mod settings;
pub use clock::TestClock;
pub use fault::{Call, FaultEngine, Faults, Gate};
pub use settings::EngineSettings;
