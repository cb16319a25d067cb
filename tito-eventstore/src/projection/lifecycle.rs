//! Add, remove, rebuild, look at.

use tito_core::event::Topic;
use tito_core::row::{StoredRow, malformed};
use tito_core::{TitoError, Transaction};

use super::state::{Checkpoint, Failure, Generations};
use super::step::delete_some;
use crate::error::{EventStoreError, Result};
use crate::keys;
use crate::log::{Definition, Head, check_topic, read_definition, topic, wake};
use crate::store::EventStore;

/// How far a projection is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProjectionInfo {
    /// Its name.
    pub name: String,
    /// All selected events up to this sequence are in the rows.
    pub checkpoint: u64,
    /// The last sequence of the store.
    pub last_sequence: u64,
    /// What stops it, if anything.
    pub failure: Option<ProjectionFailure>,
    /// The rebuild under way, if there is one.
    pub rebuild: Option<RebuildInfo>,
}

impl ProjectionInfo {
    /// How many sequences the projection is behind its store.
    pub fn behind(&self) -> u64 {
        self.last_sequence.saturating_sub(self.checkpoint)
    }
}

/// How far a rebuild of a projection is. It is done when it has reached the projection's own checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RebuildInfo {
    /// All selected events up to this sequence are in the new rows.
    pub checkpoint: u64,
    /// What stops it, if anything.
    pub failure: Option<ProjectionFailure>,
}

/// Why a projection, or a rebuild of it, is stopped: the last attempt at the event where it stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProjectionFailure {
    /// The event's sequence.
    pub sequence: u64,
    /// The error of the projector or of reading the event, with its causes, cut after 500 characters.
    pub error: String,
}

impl From<Failure> for ProjectionFailure {
    fn from(failure: Failure) -> Self {
        Self { sequence: failure.sequence, error: failure.error }
    }
}

impl EventStore {
    /// Adds a projection, which begins with the oldest event there is, and says whether it was new. From then on every
    /// append publishes an event that wakes the projection's worker, in the same transaction.
    ///
    /// # Errors
    /// [`TitoError::InvalidName`](tito_core::TitoError::InvalidName) for a name that is empty, has one of `.`, `:` and
    /// `@`, or makes too long a topic name together with the store's;
    /// [`StoreNotFound`](EventStoreError::StoreNotFound), and those of the engine.
    pub async fn add_projection(&self, name: &str) -> Result<bool> {
        check_topic("projection", self.name(), name)?;
        // All of its events are about one entity.
        Topic::ensure(self.database(), &topic(self.name(), name), 1).await?;
        let run = (self.clone(), name.to_string());
        let add = |tx: Transaction| async move {
            let (store, name) = run;
            let mut definition = read(&store, &tx).await?;
            if !definition.projections.insert(name.clone()) {
                return Ok(false);
            }
            if tx.get(&keys::log_reactor(store.id(), &name)).await?.is_some() {
                let reason = "a reactor of the store has it, whose topic it would share";
                return Err(TitoError::InvalidName { what: "projection", name, reason }.into());
            }
            tx.system_keys().put(keys::event_store(store.name()), definition.encode()?).await?;
            // An append that does not know of it meets a conflict.
            tx.lock_keys(vec![keys::log_head(store.id())]).await?;
            // One that was removed a moment ago may have keys left.
            let mut generations = Generations::read(&tx, store.id(), &name).await?.unwrap_or_default();
            generations.live = Some(generations.next());
            generations.write(&tx, store.id(), &name).await?;
            wake(&tx, store.name(), &name).await?;
            Ok::<_, EventStoreError>(true)
        };
        self.transaction(add).await
    }

    /// Removes a projection with its rows, and says whether there was one. It is gone at once; then its rows are
    /// deleted in bounded transactions. An interrupted call is finished by the next one, or by adding the projection
    /// again.
    ///
    /// # Errors
    /// [`StoreNotFound`](EventStoreError::StoreNotFound), and those of the engine.
    pub async fn remove_projection(&self, name: &str) -> Result<bool> {
        let run = (self.clone(), name.to_string());
        let remove = |tx: Transaction| async move {
            let (store, name) = run;
            let mut definition = read(&store, &tx).await?;
            if !definition.projections.remove(&name) {
                return Ok(false);
            }
            tx.system_keys().put(keys::event_store(store.name()), definition.encode()?).await?;
            tx.lock_keys(vec![keys::log_head(store.id())]).await?;
            let mut generations = Generations::read(&tx, store.id(), &name).await?.unwrap_or_default();
            for generation in [generations.live.take(), generations.rebuilding.take()].into_iter().flatten() {
                generations.drop_one(&tx, (store.id(), &name), generation).await?;
            }
            generations.write(&tx, store.id(), &name).await?;
            Ok::<_, EventStoreError>(true)
        };
        let was_there = self.transaction(remove).await?;
        while self.delete_removed(name).await? {}
        Ok(was_there)
    }

    /// Deletes some of what is left of a projection that was removed, and tells whether there may be more.
    async fn delete_removed(&self, name: &str) -> Result<bool> {
        let (store, name) = (self.id(), name.to_string());
        let delete = |tx: Transaction| async move {
            let Some(mut generations) = Generations::read(&tx, store, &name).await? else { return Ok(false) };
            if generations.live.is_some() {
                return Ok(false);
            }
            delete_some(&tx, (store, &name), &mut generations).await?;
            if generations.dropped.is_empty() {
                tx.system_keys().delete(keys::log_projection(store, &name)).await?;
            }
            Ok(!generations.dropped.is_empty())
        };
        Ok(self.database().transaction(delete).await?)
    }

    /// Has a projection folded again from the oldest event there is, by its worker. The existing rows stay in use and
    /// are kept up to date until the new ones have caught up; then those replace them, in one transaction. A rebuild
    /// that is under way starts over.
    ///
    /// A changed projector, or one that selects other events, writes both sets of rows as soon as a worker runs it; so
    /// deploy it first, and then ask for the rebuild.
    ///
    /// As an [operation](tito_worker::OperationTask::Rebuild) it can be waited for, looked at and stopped.
    ///
    /// # Errors
    /// [`ProjectionNotFound`](EventStoreError::ProjectionNotFound),
    /// [`StoreNotFound`](EventStoreError::StoreNotFound), and those of the engine.
    pub async fn rebuild_projection(&self, name: &str) -> Result<()> {
        let run = (self.clone(), name.to_string());
        let rebuild = |tx: Transaction| async move {
            let (store, name) = run;
            begin_in(&store, &tx, &name).await.map(drop)
        };
        self.transaction(rebuild).await
    }

    /// How far a projection is.
    ///
    /// # Errors
    /// [`ProjectionNotFound`](EventStoreError::ProjectionNotFound),
    /// [`StoreNotFound`](EventStoreError::StoreNotFound), and those of the engine.
    pub async fn projection(&self, name: &str) -> Result<ProjectionInfo> {
        let tx = self.database().begin().await?;
        let info = read_info(self, &tx, name).await;
        tx.rollback().await;
        info
    }

    /// The names of the store's projections, in their order.
    ///
    /// # Errors
    /// [`StoreNotFound`](EventStoreError::StoreNotFound), and those of the engine.
    pub async fn projections(&self) -> Result<Vec<String>> {
        let tx = self.database().begin().await?;
        let definition = read(self, &tx).await;
        tx.rollback().await;
        Ok(definition?.projections.into_iter().collect())
    }
}

/// Begins a rebuild in a transaction, and returns the number of the new generation.
pub(super) async fn begin_in(store: &EventStore, tx: &Transaction, name: &str) -> Result<u64> {
    read(store, tx).await?;
    let mut generations = read_live(store, tx, name).await?;
    begin_rebuild(store, tx, name, &mut generations).await?;
    wake(tx, store.name(), name).await?;
    Ok(generations.last)
}

/// Begins a new generation, in the place of one that is being rebuilt.
async fn begin_rebuild(store: &EventStore, tx: &Transaction, name: &str, generations: &mut Generations) -> Result<()> {
    if let Some(abandoned) = generations.rebuilding.take() {
        generations.drop_one(tx, (store.id(), name), abandoned).await?;
    }
    generations.rebuilding = Some(generations.next());
    Ok(generations.write(tx, store.id(), name).await?)
}

/// Has a projection fold its rows anew, unless none of its generations that are to stay has folded an event that is being
/// erased in this transaction, of which `first` is the first. Returns whether a rebuild was begun.
pub(crate) async fn rebuild_without(store: &EventStore, tx: &Transaction, name: &str, first: u64) -> Result<bool> {
    let Some(mut generations) = Generations::read(tx, store.id(), name).await? else { return Ok(false) };
    let Some(staying) = generations.rebuilding.or(generations.live) else { return Ok(false) };
    let [checkpoint, _] = Checkpoint::read(tx, (store.id(), name), [Some(staying), None]).await?;
    // Whoever folds meanwhile meets a conflict, as it may have read what is being erased.
    tx.lock_keys(vec![keys::log_view_checkpoint(store.id(), name, staying)]).await?;
    if checkpoint.is_none_or(|checkpoint| checkpoint.sequence < first) {
        return Ok(false);
    }
    begin_rebuild(store, tx, name, &mut generations).await?;
    wake(tx, store.name(), name).await?;
    Ok(true)
}

/// Whether a projection may still have rows of what was erased: it is being rebuilt, or what was is being deleted.
pub(crate) async fn has_earlier_rows(tx: &Transaction, store: u64, name: &str) -> Result<bool> {
    let generations = Generations::read(tx, store, name).await?.unwrap_or_default();
    Ok(generations.rebuilding.is_some() || !generations.dropped.is_empty())
}

async fn read_info(store: &EventStore, tx: &Transaction, name: &str) -> Result<ProjectionInfo> {
    read(store, tx).await?;
    let generations = read_live(store, tx, name).await?;
    let head_key = keys::log_head(store.id());
    let Some(head) = tx.get(&head_key).await? else {
        return Err(malformed(&head_key, Head::EXPECTED, "a store has one from its beginning").into());
    };
    let head = Head::decode(&head_key, &head)?;
    let in_service = [generations.live, generations.rebuilding];
    let [live, rebuilding] = Checkpoint::read(tx, (store.id(), name), in_service).await?;
    let live = live.unwrap_or_default();
    Ok(ProjectionInfo {
        name: name.to_string(),
        checkpoint: live.sequence,
        last_sequence: head.last,
        failure: live.failure.map(Into::into),
        rebuild: rebuilding.map(|one| RebuildInfo { checkpoint: one.sequence, failure: one.failure.map(Into::into) }),
    })
}

/// The store's definition, if it is still the same store.
async fn read(store: &EventStore, tx: &Transaction) -> Result<Definition> {
    let definition = read_definition(tx, store.name()).await?;
    if definition.id != store.id() {
        return Err(EventStoreError::StoreNotFound { name: store.name().to_string() });
    }
    Ok(definition)
}

/// The generations of a projection that is in service.
async fn read_live(store: &EventStore, tx: &Transaction, name: &str) -> Result<Generations> {
    let generations = Generations::read(tx, store.id(), name).await?;
    generations.filter(|generations| generations.live.is_some()).ok_or_else(|| EventStoreError::ProjectionNotFound {
        store: store.name().to_string(),
        projection: name.to_string(),
    })
}
