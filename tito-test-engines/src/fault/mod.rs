//! Engines that fail when a test wants them to.

mod engine;
mod failure;
mod gate;
mod rules;
mod snapshot;
mod transaction;

pub use engine::{FaultEngine, WithFaults};
pub use gate::Gate;
pub use rules::{Faults, Rule};

/// The kinds of calls to an engine and its transactions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Call {
    /// [`Database::begin`](tito_core::Database::begin).
    Begin,
    /// [`Database::snapshot`](tito_core::Database::snapshot).
    Snapshot,
    /// [`Database::timestamp`](tito_core::Database::timestamp) and [`Database::now`](tito_core::Database::now).
    Timestamp,
    /// [`Transaction::get`](tito_core::Transaction::get) of a key that the transaction has not written itself.
    Get,
    /// [`Transaction::batch_get`](tito_core::Transaction::batch_get), and all reads of keys from a
    /// [`DatabaseSnapshot`](tito_core::DatabaseSnapshot).
    BatchGet,
    /// [`Transaction::scan`](tito_core::Transaction::scan) and
    /// [`scan_reverse`](tito_core::Transaction::scan_reverse), and those of a [`DatabaseSnapshot`](tito_core::DatabaseSnapshot).
    Scan,
    /// [`Transaction::put`](tito_core::Transaction::put).
    Put,
    /// [`Transaction::insert`](tito_core::Transaction::insert).
    Insert,
    /// [`Transaction::delete`](tito_core::Transaction::delete).
    Delete,
    /// [`Transaction::lock_keys`](tito_core::Transaction::lock_keys).
    Lock,
    /// [`Transaction::commit`](tito_core::Transaction::commit).
    Commit,
}
