//! Erases entities, step by step.

use std::collections::BTreeSet;
use std::ops::AddAssign;

use tito_core::Transaction;
use tito_core::database::{PageSize, Walk};
use tito_core::engine::Signal;

use super::step::{MOST_SNAPSHOTS, erase_snapshots, step};
use super::target::Target;
use crate::error::{EventStoreError, Result};
use crate::keys;
use crate::store::{ERASED, EventStore};

/// What an erasure of entities did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ErasedEntities {
    /// Events, each of which left an empty placeholder at its sequence.
    pub events: u64,
    /// Entities of which something was known.
    pub entities: u64,
    /// Snapshots of models that may have been folded from events of the entities.
    pub snapshots: u64,
    /// How often a projection was told to rebuild its rows.
    pub rebuilds: u64,
    /// Projections that can't be rebuilt, because the store's limits have dropped events: what they have of the
    /// entities has to be deleted by hand.
    pub not_rebuilt: BTreeSet<String>,
    /// How many rows were deleted in all, which says whether a step has found any.
    pub(super) rows: u64,
}

impl AddAssign for ErasedEntities {
    fn add_assign(&mut self, other: Self) {
        self.events += other.events;
        self.entities += other.entities;
        self.snapshots += other.snapshots;
        self.rebuilds += other.rebuilds;
        self.not_rebuilt.extend(other.not_rebuilt);
        self.rows += other.rows;
    }
}

impl EventStore {
    /// Erases the entities that a pattern selects, `type.id`, `type` or with `*` for either: their events with all
    /// metadata, the ids of these and of commands of which nothing else is left, their last sequences, and every
    /// snapshot of a model that selects one of them. Returns how much that was.
    ///
    /// An erased event leaves an empty placeholder, so that sequences have no gaps. Nobody sees it: streams, `evolve`,
    /// watchers, projections and republishing rules skip it, and [`event`](EventStore::event) returns `None`. The
    /// entity is as if it had never existed: its last sequence is 0, and the ids of its events can be appended again.
    ///
    /// Projections that have folded an erased event are [rebuilt](EventStore::rebuild_projection) by their workers, and
    /// serve their rows until that is done: see [`remains`](EventStore::remains). Programs have to discard models that
    /// they hold in memory; none of these leaves a snapshot behind any more. What a reactor's transactional handler makes of
    /// an erased event is not committed any more, even if it had begun before; a plain handler can be handed one that was
    /// read already for about 100 ms.
    ///
    /// Works in transactions of at most 100 events, which conflict with appends of other processes. After an error or a
    /// crash, call it again to continue. Events that are appended to the entities meanwhile are erased if they are
    /// found before the last step. Programs of versions that don't know placeholders stop reading at one.
    ///
    /// ```
    /// # use tito_eventstore::{EventStore, EventStoreError};
    /// # async fn example(bank: EventStore) -> Result<(), EventStoreError> {
    /// let erased = bank.erase("customer.17").await?;
    /// println!("{} events, {} snapshots", erased.events, erased.snapshots);
    /// assert!(bank.remains("customer.17").await?.is_nothing());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`PatternInvalid`](crate::EventStoreError::PatternInvalid), also for a pattern that names an event type,
    /// [`StoreNotFound`](crate::EventStoreError::StoreNotFound), and those of the engine.
    pub async fn erase(&self, pattern: &str) -> Result<ErasedEntities> {
        let mut erasure = self.erasing(pattern)?;
        while erasure.step().await? {}
        Ok(erasure.so_far())
    }

    /// Like [`erase`](EventStore::erase), to be done step by step.
    ///
    /// # Errors
    /// [`PatternInvalid`](crate::EventStoreError::PatternInvalid).
    pub fn erasing(&self, pattern: &str) -> Result<EntityErasure> {
        let (target, erased) = (Target::parse(pattern)?, ErasedEntities::default());
        Ok(EntityErasure { store: self.clone(), target, phase: Phase::Events, erased })
    }
}

/// An erasure of entities under way. Dropping it ends it; what was erased by then is gone, and another one continues.
#[derive(Debug)]
#[must_use = "it does nothing until it is stepped"]
pub struct EntityErasure {
    store: EventStore,
    target: Target,
    phase: Phase,
    erased: ErasedEntities,
}

#[derive(Clone, Debug)]
enum Phase {
    /// Events, and then what is known of the entities.
    Events,
    /// What is left of the snapshots. None is written any more of what was read before the events were erased.
    Snapshots(Walk),
    Done,
}

impl EntityErasure {
    /// Erases up to 100 events or other rows in one transaction. Returns whether there may be more.
    ///
    /// # Errors
    /// Those of [`erase`](EventStore::erase). Calling it again continues where it stopped.
    pub async fn step(&mut self) -> Result<bool> {
        let (store, target) = (&self.store, &self.target);
        match self.phase.clone() {
            Phase::Events => {
                let erasing = store.transaction(|tx: Transaction| async move {
                    let erased = step(&tx, store, target).await?;
                    if erased.rows > 0 {
                        // Reactors have events in memory.
                        tx.signal(Signal { channel: store.channel().clone(), number: ERASED, payload: Vec::new() });
                    }
                    Ok::<_, EventStoreError>(erased)
                });
                let erased = erasing.await?;
                if erased.rows == 0 {
                    let snapshots = Walk::over(keys::log_snapshots(store.id()));
                    self.phase = Phase::Snapshots(snapshots.in_pages(PageSize::entries(MOST_SNAPSHOTS)));
                }
                self.erased += erased;
            }
            Phase::Snapshots(walk) => {
                let (id, walk) = (store.id(), &walk);
                let erasing = store
                    .database()
                    .transaction(|tx: Transaction| async move { erase_snapshots(&tx, id, walk.clone(), target).await });
                let (snapshots, rest) = erasing.await?;
                self.phase = if rest.is_over() { Phase::Done } else { Phase::Snapshots(rest) };
                self.erased.snapshots += snapshots;
            }
            Phase::Done => {}
        }
        Ok(!matches!(self.phase, Phase::Done))
    }

    /// What was erased so far. A step whose commit had an unknown outcome is not counted.
    pub fn so_far(&self) -> ErasedEntities {
        self.erased.clone()
    }
}
