//! One transaction of what there is to do.

use std::collections::{BTreeMap, BTreeSet};

use tito_core::Transaction;
use tito_core::keys::KeyRange;
use tito_core::row::StoredRow;

use super::fold::Stopped;
use super::projector::Projector;
use super::run::Folding;
use super::state::{Checkpoint, Generations};
use crate::error::EventStoreError;
use crate::keys;
use crate::log::{Definition, Head};
use tito_core::database::{PageSize, RowAccess, Walk};

/// How many keys of a generation that was dropped a transaction deletes, and about how many bytes it reads of them.
const MOST_DROPPED: usize = 500;
const MOST_DROPPED_BYTES: usize = 4 << 20;

/// What a run has learned, for its next step.
#[derive(Clone, Debug, Default)]
pub(super) struct Plan {
    /// Generations that can't go on.
    pub(super) stopped: BTreeSet<u64>,
    /// Up to where generations go, so that an event behind it is tried alone.
    pub(super) bounds: BTreeMap<u64, u64>,
    /// Whether it is the turn of the rebuild.
    pub(super) rebuilds_first: bool,
}

/// What a step has done.
pub(super) enum Step {
    Folded {
        generation: u64,
    },
    Dropped,
    /// Nothing: what is left, if anything, is in generations that can't go on. With those in service.
    Idle {
        in_service: Vec<u64>,
    },
}

impl<P: Projector> Folding<P> {
    /// Does one thing, or finds with two reads that nothing is to be done.
    pub(super) async fn step(&self, tx: &Transaction, plan: &Plan) -> Result<Step, Stopped> {
        let id = self.store.id();
        let (definition_key, key, head_key) =
            (keys::event_store(self.store.name()), keys::log_projection(id, &self.name), keys::log_head(id));
        let values = tx.batch_get(vec![definition_key.clone(), key.clone(), head_key.clone()]).await?;
        let nothing = || Ok(Step::Idle { in_service: Vec::new() });
        let Ok([Some(definition), generations, head]) = <[Option<Vec<u8>>; 3]>::try_from(values) else {
            return nothing();
        };
        if Definition::decode(&definition_key, &definition)?.id != id {
            // It was created again, and whoever knows that one has to do it.
            return Err(EventStoreError::StoreNotFound { name: self.store.name().to_string() }.into());
        }
        let (Some(generations), Some(head)) = (generations, head) else { return nothing() };
        let (generations, head) = (Generations::decode(&key, &generations)?, Head::decode(&head_key, &head)?);
        let in_service = [generations.live, generations.rebuilding];
        let checkpoints = Checkpoint::read(tx, (id, &self.name), in_service).await?;
        // Of one that is ahead of its store, which damage alone makes it, a rebuild goes to the end that there is.
        let live_sequence = checkpoints[0].as_ref().map_or(0, |checkpoint| checkpoint.sequence).min(head.last);
        let [live, rebuilding] = checkpoints;
        let (live, rebuilding) = (generations.live.zip(live), generations.rebuilding.zip(rebuilding));

        let can_go_on = |generation: &(u64, Checkpoint)| !plan.stopped.contains(&generation.0);
        let behind = live.filter(can_go_on).filter(|(_, checkpoint)| checkpoint.sequence < head.last);
        let rebuilding = rebuilding.filter(can_go_on);
        match (behind, rebuilding) {
            (Some((generation, checkpoint)), rebuilding) if rebuilding.is_none() || !plan.rebuilds_first => {
                self.advance(tx, (generation, RowAccess::Write), (checkpoint, head.last), plan).await?;
                Ok(Step::Folded { generation })
            }
            (_, Some((generation, checkpoint))) => {
                // Never past the one that serves: what the projector publishes, it publishes from there.
                let reached = self
                    .advance(tx, (generation, RowAccess::WriteNothingElse), (checkpoint, live_sequence), plan)
                    .await?;
                if reached == live_sequence {
                    self.switch(tx, generations, generation).await?;
                }
                Ok(Step::Folded { generation })
            }
            _ if !generations.dropped.is_empty() => {
                self.delete_some(tx, generations).await?;
                Ok(Step::Dropped)
            }
            _ => Ok(Step::Idle { in_service: in_service.into_iter().flatten().collect() }),
        }
    }

    async fn advance(
        &self,
        tx: &Transaction,
        (generation, access): (u64, RowAccess),
        (checkpoint, up_to): (Checkpoint, u64),
        plan: &Plan,
    ) -> Result<u64, Stopped> {
        let after = checkpoint.sequence;
        let bound = plan.bounds.get(&generation).copied().filter(|bound| *bound > after);
        let up_to = bound.map_or(up_to, |bound| bound.min(up_to));
        let sequence = self.fold(tx, (generation, access), (after, up_to)).await?;
        checkpoint.reached(sequence).write(tx, (self.store.id(), &self.name), generation).await?;
        Ok(sequence)
    }

    /// Lets the generation that was rebuilt serve.
    async fn switch(&self, tx: &Transaction, mut generations: Generations, rebuilt: u64) -> tito_core::Result<()> {
        let id = self.store.id();
        let old = generations.live.replace(rebuilt);
        generations.rebuilding = None;
        if let Some(old) = old {
            generations.drop_one(tx, (id, &self.name), old).await?;
        }
        generations.write(tx, id, &self.name).await
    }

    async fn delete_some(&self, tx: &Transaction, mut generations: Generations) -> tito_core::Result<()> {
        delete_some(tx, (self.store.id(), &self.name), &mut generations).await
    }
}

/// Deletes some of what is left of a generation that was dropped, and forgets it with the last of its keys.
pub(super) async fn delete_some(
    tx: &Transaction,
    (store, projection): (u64, &str),
    generations: &mut Generations,
) -> tito_core::Result<()> {
    let Some(&generation) = generations.dropped.first() else { return Ok(()) };
    let size = PageSize::entries(MOST_DROPPED).and_bytes(MOST_DROPPED_BYTES);
    let mut walk = Walk::over(KeyRange::prefix(keys::log_view(store, projection, generation))).in_pages(size);
    for (key, _) in walk.next_in(tx).await?.unwrap_or_default() {
        tx.system_keys().delete(key).await?;
    }
    if walk.is_over() {
        generations.dropped.remove(0);
        generations.write(tx, store, projection).await?;
    }
    Ok(())
}
