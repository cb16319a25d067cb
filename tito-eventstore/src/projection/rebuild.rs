//! A rebuild that is an operation: begun, folded and abandoned by a worker that the projection is subscribed with.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use tito_core::{Result as CoreResult, Transaction};
use tito_worker::{RebuildProgress, Rebuilds};

use super::lifecycle::begin_in;
use super::projector::Projector;
use super::run::Folding;
use super::state::{Checkpoint, Generations};
use crate::log::wake;

/// How long it folds before it says how far it is.
const TURN: Duration = Duration::from_secs(2);

/// The projection as a worker rebuilds it.
pub(super) struct Rebuilding<P>(pub(super) Arc<Folding<P>>);

impl<P: Projector> Rebuilds for Rebuilding<P> {
    fn begin<'a>(&'a self, tx: &'a Transaction) -> BoxFuture<'a, CoreResult<u64>> {
        async move { Ok(begin_in(&self.0.store, tx, &self.0.name).await?) }.boxed()
    }

    fn fold<'a>(&'a self, generation: u64) -> BoxFuture<'a, CoreResult<RebuildProgress>> {
        async move {
            let folded = self.0.run(Some(TURN)).await;
            let run = self.0.clone();
            let look = |tx: Transaction| async move { run.progress(generation, &tx).await };
            let progress = self.0.store.database().transaction(look).await?;
            match (folded, progress) {
                // It may be the one that served that can't go on.
                (_, done @ (RebuildProgress::Serves { .. } | RebuildProgress::Replaced)) => Ok(done),
                (Ok(_), progress) => Ok(progress),
                (Err(error), _) => Err(error.into()),
            }
        }
        .boxed()
    }

    fn abandon<'a>(&'a self, generation: u64, tx: &'a Transaction) -> BoxFuture<'a, CoreResult<()>> {
        async move {
            let (store, name) = (&self.0.store, &self.0.name);
            let Some(mut generations) = Generations::read(tx, store.id(), name).await? else { return Ok(()) };
            if generations.rebuilding != Some(generation) {
                return Ok(());
            }
            generations.rebuilding = None;
            generations.drop_one(tx, (store.id(), name), generation).await?;
            generations.write(tx, store.id(), name).await?;
            // Its rows are deleted by whoever folds.
            Ok(wake(tx, store.name(), name).await?)
        }
        .boxed()
    }
}

impl<P: Projector> Folding<P> {
    /// How far a generation is.
    async fn progress(&self, generation: u64, tx: &Transaction) -> CoreResult<RebuildProgress> {
        let of = (self.store.id(), self.name.as_str());
        let generations = Generations::read(tx, of.0, of.1).await?.unwrap_or_default();
        let [live, rebuilding] = Checkpoint::read(tx, of, [generations.live, generations.rebuilding]).await?;
        let sequence = |checkpoint: Option<Checkpoint>| checkpoint.map_or(0, |checkpoint| checkpoint.sequence);
        Ok(match (generations.live, generations.rebuilding) {
            (Some(serves), _) if serves == generation => RebuildProgress::Serves { sequence: sequence(live) },
            (_, Some(rebuilt)) if rebuilt == generation => {
                RebuildProgress::Folded { sequence: sequence(rebuilding), of: sequence(live) }
            }
            _ => RebuildProgress::Replaced,
        })
    }
}
