//! Models with snapshots.

use tito_core::BoxError;

/// A model with snapshots. [`Evolver::as_snapshot`](crate::Evolver::as_snapshot) says that it is one.
///
/// ```
/// use tito_core::BoxError;
/// use tito_eventstore::{Event, Evolver, Snapshot};
///
/// /// How many events there were.
/// #[derive(Default)]
/// struct Count(u64);
///
/// impl Evolver for Count {
///     fn evolve(&mut self, _: &Event) -> Result<(), BoxError> {
///         self.0 += 1;
///         Ok(())
///     }
///
///     fn as_snapshot(&mut self) -> Option<&mut dyn Snapshot> {
///         Some(self)
///     }
/// }
///
/// impl Snapshot for Count {
///     fn name(&self) -> String {
///         "count".to_string()
///     }
///     fn every(&self) -> u64 {
///         100
///     }
///     fn save(&self) -> Result<Vec<u8>, BoxError> {
///         Ok(self.0.to_string().into_bytes())
///     }
///     fn restore(&mut self, state: &[u8]) -> Result<(), BoxError> {
///         self.0 = std::str::from_utf8(state)?.parse()?;
///         Ok(())
///     }
/// }
/// ```
pub trait Snapshot {
    /// The name under which its snapshots are stored: the same for all values that evolve alike.
    fn name(&self) -> String;

    /// The version of what [`save`](Snapshot::save) writes and of how the model evolves. Raise it when either changes:
    /// snapshots of the newest two versions are kept, and a program reads and writes those of its own. It begins with
    /// one of an older version if it can [`upgrade`](Snapshot::upgrade) that, and ignores newer ones.
    fn version(&self) -> u32 {
        1
    }

    /// After how many events a new snapshot is taken; 0 for only on request.
    fn every(&self) -> u64;

    /// Whether the model has not evolved by any event yet. One that has does not begin with a snapshot, which would set
    /// it back, and no snapshot is taken of it, as that would include more than what is selected. A
    /// [`Model`](crate::Model) knows; any other value that is passed to [`evolve`](crate::EventStore::evolve) counts as
    /// new.
    fn is_new(&self) -> bool {
        true
    }

    /// The state as bytes, up to the engine's limit of a value (1 MiB by default) less a few hundred.
    ///
    /// # Errors
    /// Whatever keeps it from being written.
    fn save(&self) -> Result<Vec<u8>, BoxError>;

    /// Restores the state that [`save`](Snapshot::save) wrote.
    ///
    /// # Errors
    /// What is wrong with the bytes. The model must be unchanged then, as it may be folded from the first event.
    fn restore(&mut self, state: &[u8]) -> Result<(), BoxError>;

    /// Converts what [`save`](Snapshot::save) wrote in an older version to the current one, or returns `None` if that
    /// is not possible, so that the model is folded from the first event. Default: `None`.
    ///
    /// It is for changes of what is written. If the same events now lead to a different state, they have to be folded
    /// again.
    ///
    /// # Errors
    /// What is wrong with the bytes.
    fn upgrade(&self, version: u32, state: &[u8]) -> Result<Option<Vec<u8>>, BoxError> {
        let _ = (version, state);
        Ok(None)
    }
}
