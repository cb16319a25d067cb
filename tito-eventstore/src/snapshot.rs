//! Snapshots: states of models, so that evolving need not begin with the first event.

use tito_core::BoxError;

/// A model of which snapshots are taken. [`Evolver::as_snapshot`](crate::Evolver::as_snapshot) says that it is one.
pub trait Snapshot {
    /// The name under which its snapshots are stored, the same for all of its values.
    fn name(&self) -> &str;

    /// The version of what [`save`](Snapshot::save) writes and of how the model evolves: snapshots of another one are
    /// passed over.
    fn version(&self) -> u32 {
        1
    }

    /// After how many events a new snapshot is taken; 0 for on request only.
    fn every(&self) -> u64;

    /// The state as bytes.
    ///
    /// # Errors
    /// Whatever keeps it from being written.
    fn save(&self) -> Result<Vec<u8>, BoxError>;

    /// Makes the model what [`save`](Snapshot::save) was called on.
    ///
    /// # Errors
    /// What is wrong with the bytes; the model should then be as it was before.
    fn restore(&mut self, state: &[u8]) -> Result<(), BoxError>;
}
