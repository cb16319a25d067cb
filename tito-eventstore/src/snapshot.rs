//! Snapshots: states of models, so that evolving need not begin with the first event.

use tito_core::keys;
use tito_core::{BoxError, KeyText, TitoEngine, TitoError, TitoTransaction};

use crate::domain::Evolver;
use crate::error::{EventStoreError, Result};
use crate::manager::Tail;
use crate::read::Select;
use crate::store::EventStore;

/// A model of which snapshots are taken. [`Evolver::as_snapshot`] says that it is one.
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

    /// The version of what [`save`](Snapshot::save) writes and of how the model evolves. Snapshots of another version
    /// are passed over and replaced in time.
    fn version(&self) -> u32 {
        1
    }

    /// After how many events a new snapshot is taken; 0 for on request only.
    fn every(&self) -> u64;

    /// Whether the model was evolved by nothing yet. Others don't begin with a snapshot, which would set them back, and
    /// none is taken of them, as it would hold more than what is selected. A [`Model`](crate::Model) knows; every other
    /// value is taken for one that was evolved by nothing when it is handed to
    /// [`evolve`](EventStore::evolve).
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
    /// What is wrong with the bytes; the model should then be as it was before.
    fn restore(&mut self, state: &[u8]) -> Result<(), BoxError>;
}

/// A stored snapshot: the sequence up to which it was folded and the version, both little-endian, then the state.
const SEQUENCE_BYTES: usize = 8;
const VERSION_BYTES: usize = 4;

struct Stored<'a> {
    sequence: u64,
    version: u32,
    state: &'a [u8],
}

impl<'a> Stored<'a> {
    fn decode(key: &[u8], value: &'a [u8]) -> Result<Self> {
        let malformed = || TitoError::Malformed {
            key: KeyText::from(key),
            expected: "a snapshot",
            source: "it is shorter than 12 bytes".into(),
        };
        let (sequence, rest) = value.split_first_chunk::<SEQUENCE_BYTES>().ok_or_else(malformed)?;
        let (version, state) = rest.split_first_chunk::<VERSION_BYTES>().ok_or_else(malformed)?;
        Ok(Self { sequence: u64::from_le_bytes(*sequence), version: u32::from_le_bytes(*version), state })
    }

    fn encode(&self) -> Vec<u8> {
        [&self.sequence.to_le_bytes()[..], &self.version.to_le_bytes(), self.state].concat()
    }
}

impl<E: TitoEngine> EventStore<E> {
    /// Makes a model what its latest snapshot of a selection says, and returns up to which sequence that was folded.
    pub(crate) async fn restore_snapshot<M: Evolver>(&self, model: &mut M, select: &Select) -> Result<Option<u64>> {
        let key = match model.as_snapshot() {
            Some(model) if select.begin() == 0 => self.snapshot_key(&*model, select)?,
            _ => return Ok(None),
        };
        let tail_key = keys::log_tail(self.id());
        let tx = self.engine().begin().await?;
        let values = tx.batch_get(vec![key.clone(), tail_key.clone()]).await;
        tx.rollback().await;
        let Ok([Some(value), Some(tail)]) = <[Option<Vec<u8>>; 2]>::try_from(values?) else { return Ok(None) };
        let tail = Tail::decode(&tail_key, &tail)?;
        let stored = Stored::decode(&key, &value)?;
        let Some(model) = model.as_snapshot() else { return Ok(None) };
        let is_late = select.end().is_some_and(|end| stored.sequence > end);
        // Some of the events that would have to follow it were dropped: the model would be one that never was.
        let is_early = stored.sequence < tail.dropped;
        if is_late || is_early || stored.version != model.version() {
            return Ok(None);
        }
        match model.restore(stored.state) {
            Ok(()) => Ok(Some(stored.sequence)),
            // Another task was first with a shared model.
            Err(_) if !model.is_new() => Ok(None),
            Err(source) => Err(EventStoreError::Snapshot { model: model.name(), operation: "read", source }),
        }
    }

    /// Stores a snapshot of a model that was folded from a selection up to a sequence, unless there is a later one.
    pub(crate) async fn save_snapshot<M: Evolver>(&self, model: &mut M, select: &Select, sequence: u64) -> Result<()> {
        let (key, version, state) = match model.as_snapshot() {
            Some(model) if select.begin() == 0 => {
                let state = model.save().map_err(|source| EventStoreError::Snapshot {
                    model: model.name(),
                    operation: "written",
                    source,
                })?;
                (self.snapshot_key(&*model, select)?, model.version(), state)
            }
            _ => return Ok(()),
        };
        let value = Stored { sequence, version, state: &state }.encode();
        let head = keys::log_head(self.id());
        let put = self.engine().transaction(|tx| async move {
            let values = tx.batch_get(vec![key.clone(), head]).await?;
            // A store that was deleted gets none: nobody might be left to remove it.
            let Ok([there, Some(_)]) = <[Option<Vec<u8>>; 2]>::try_from(values) else { return Ok(()) };
            if let Some(there) = there
                && Stored::decode(&key, &there)
                    .is_ok_and(|there| there.version == version && there.sequence >= sequence)
            {
                return Ok(());
            }
            tx.put(key, value).await
        });
        Ok(put.await?)
    }

    fn snapshot_key(&self, model: &dyn Snapshot, select: &Select) -> Result<Vec<u8>> {
        let patterns: Vec<String> = select.patterns()?.iter().map(ToString::to_string).collect();
        Ok(keys::log_snapshot(self.id(), &model.name(), &patterns.join(" ")))
    }
}
