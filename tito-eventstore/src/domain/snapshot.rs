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
    /// The name under which its snapshots are stored, the same for all values that evolve alike.
    fn name(&self) -> String;

    /// The version of what [`save`](Snapshot::save) writes and of how the model evolves. Raise it when either changes:
    /// snapshots are kept by version, the newest two, and a program reads and writes those of its own. It begins with one
    /// of an older version if it can [`upgrade`](Snapshot::upgrade) that, and passes over newer ones.
    fn version(&self) -> u32 {
        1
    }

    /// After how many events a new snapshot is taken; 0 for on request only.
    fn every(&self) -> u64;

    /// Whether the model has not evolved by any event yet. One that has does not begin with a snapshot, which would set
    /// it back, and no snapshot is taken of it, as that would hold more than what is selected. A
    /// [`Model`](crate::Model) knows; any other value that is handed to [`evolve`](crate::EventStore::evolve) is taken
    /// for new.
    fn is_new(&self) -> bool {
        true
    }

    /// The state as bytes, up to the engine's limit of a value (1 MiB by default) less a few hundred.
    ///
    /// # Errors
    /// Whatever keeps it from being written.
    fn save(&self) -> Result<Vec<u8>, BoxError>;

    /// Makes the model what [`save`](Snapshot::save) was called on.
    ///
    /// # Errors
    /// What is wrong with the bytes. The model has to be unchanged then, as it may be folded from the first event.
    fn restore(&mut self, state: &[u8]) -> Result<(), BoxError>;

    /// Turns what [`save`](Snapshot::save) has written in an older version into what it would write in the present one,
    /// or returns `None` if that is not possible, and the model is folded from the first event. By default it never is.
    ///
    /// It is for changes of what is written. Where the same events now lead to another state, they have to be folded
    /// again.
    ///
    /// # Errors
    /// What is wrong with the bytes.
    fn upgrade(&self, version: u32, state: &[u8]) -> Result<Option<Vec<u8>>, BoxError> {
        let _ = (version, state);
        Ok(None)
    }
}
