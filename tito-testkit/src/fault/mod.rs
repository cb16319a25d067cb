//! Engines that fail when a test wants them to.

mod engine;
mod gate;
mod rules;

pub use engine::{FaultEngine, FaultTransaction};
pub use gate::Gate;
pub use rules::{Faults, Rule};

/// The kinds of calls of an engine and its transactions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Call {
    /// [`TitoEngine::begin`](tito_core::TitoEngine::begin).
    Begin,
    /// [`TitoEngine::timestamp`](tito_core::TitoEngine::timestamp).
    Timestamp,
    /// [`TitoTransaction::get`](tito_core::TitoTransaction::get).
    Get,
    /// [`TitoTransaction::batch_get`](tito_core::TitoTransaction::batch_get).
    BatchGet,
    /// [`TitoTransaction::scan`](tito_core::TitoTransaction::scan) and
    /// [`scan_reverse`](tito_core::TitoTransaction::scan_reverse).
    Scan,
    /// [`TitoTransaction::put`](tito_core::TitoTransaction::put).
    Put,
    /// [`TitoTransaction::insert`](tito_core::TitoTransaction::insert).
    Insert,
    /// [`TitoTransaction::delete`](tito_core::TitoTransaction::delete).
    Delete,
    /// [`TitoTransaction::lock_keys`](tito_core::TitoTransaction::lock_keys).
    Lock,
    /// [`TitoTransaction::commit`](tito_core::TitoTransaction::commit).
    Commit,
}
