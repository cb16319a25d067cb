//! Steps for which the application's models and projections are needed.

use tito_core::row::StoredRow;
use tito_core::{Result, Transaction};
use uuid::Uuid;

use super::info::OperationState;
use super::rebuilt::{self, RebuildProgress};
use super::reindexed;
use super::row::{OperationRow, Progress};
use super::step::{Next, Stepper, Turn, after, turn};
use super::task::OperationTask;
use crate::keys;

/// What is stored in place of a cursor once an index has all its entries and no others.
const WHOLE: &str = "whole";

impl Stepper {
    /// One batch of rows or entries, in the transaction that notes it.
    pub(super) async fn step_reindex(&self, id: Uuid, row: &OperationRow, table: &str, index: &str) -> Result<Next> {
        let Some(model) = self.registered.model(table, index) else { return Ok(Next::Unknown) };
        let (database, me) = (&self.queue.engine, self.me);
        let is_whole = match &row.cursor {
            None => {
                if let Turn::Not(next) = self.hold(id).await? {
                    return Ok(next);
                }
                // May wait until all processes know.
                let place = match self.while_held(id, model.begin(database, index)).await {
                    Ok(place) => place?,
                    Err(next) => return Ok(next),
                };
                let cursor = Some(reindexed::cursor_of(&place)?);
                return self.note(id, Progress { cursor, ..Progress::default() }).await;
            }
            Some(cursor) => cursor == WHOLE,
        };
        if is_whole {
            // Once more after a death, which changes nothing.
            model.finish(database, index).await?;
            return self.note(id, Progress::default()).await;
        }
        let step = database.transaction(|tx| async move {
            let mut row = match turn(&tx, id, me).await? {
                Turn::Not(next) => return Ok(next),
                Turn::Step(row, _) => row,
            };
            row.hold(me, tx.now());
            let Some(cursor) = row.cursor.clone().filter(|cursor| *cursor != WHOLE) else { return Ok(Next::Step) };
            let place = reindexed::place_of(&cursor)?;
            let (report, next) = model.step(index, &place, row.room(1_000), &tx).await?;
            let count = report.rows.max(report.removed);
            let mut progress = reindexed::progress(report, next.as_ref())?;
            // Nothing but the end follows.
            progress.cursor.get_or_insert_with(|| WHOLE.into());
            row.note_at_rate(progress, count, tx.now());
            let next = after(&row, tx.now().millis());
            tx.system_keys().put(keys::operation(id), row.encode()?).await?;
            Ok(next)
        });
        Box::pin(step).await
    }

    /// Begins a new generation in the transaction that notes it, or has it folded for a while.
    pub(super) async fn step_rebuild(
        &self,
        id: Uuid,
        row: &OperationRow,
        store: &str,
        projection: &str,
    ) -> Result<Next> {
        let Some(rebuilds) = self.registered.projection(store, projection) else { return Ok(Next::Unknown) };
        let me = self.me;
        let Some(generation) = rebuilt::generation_of(row.cursor.as_ref()) else {
            let begin = self.queue.engine.transaction(|tx| async move {
                let mut row = match turn(&tx, id, me).await? {
                    Turn::Not(next) => return Ok(next),
                    Turn::Step(row, _) => row,
                };
                row.hold(me, tx.now());
                let generation = rebuilds.begin(&tx).await?;
                row.cursor = Some(rebuilt::cursor_of(generation));
                tx.system_keys().put(keys::operation(id), row.encode()?).await?;
                Ok(Next::Step)
            });
            return Box::pin(begin).await;
        };
        if let Turn::Not(next) = self.hold(id).await? {
            return Ok(next);
        }
        let folded = match self.while_held(id, rebuilds.fold(generation)).await {
            Ok(folded) => folded?,
            Err(next) => return Ok(next),
        };
        let note = self.queue.engine.transaction(|tx| async move {
            let mut row = match turn(&tx, id, me).await? {
                Turn::Not(next) => return Ok(next),
                Turn::Step(row, _) => row,
            };
            row.hold(me, tx.now());
            match folded {
                RebuildProgress::Folded { sequence, of } => {
                    (row.done, row.searched, row.at_least) = (sequence, sequence, of);
                }
                RebuildProgress::Serves { sequence } => {
                    (row.done, row.searched, row.at_least) = (sequence, sequence, sequence);
                    row.end(OperationState::Done, None, tx.now());
                }
                RebuildProgress::Replaced => {
                    let why = "another rebuild has taken its place, or the projection was removed";
                    row.end(OperationState::Failed, Some(why.to_string()), tx.now());
                }
            }
            tx.system_keys().put(keys::operation(id), row.encode()?).await?;
            Ok(if row.state.has_ended() { Next::Ended } else { Next::Step })
        });
        Box::pin(note).await
    }

    /// Takes back what a rebuild has begun that was stopped.
    pub(super) async fn abandon(&self, id: Uuid, row: &OperationRow) -> Result<()> {
        if row.state != OperationState::Stopped || rebuilt::generation_of(row.cursor.as_ref()).is_none() {
            return Ok(());
        }
        let Ok(OperationTask::Rebuild { store, projection }) = serde_json::from_str(row.task.get()) else {
            return Ok(());
        };
        let Some(rebuilds) = self.registered.projection(&store, &projection) else { return Ok(()) };
        let abandon = self.queue.engine.transaction(|tx: Transaction| async move {
            let key = keys::operation(id);
            let Some(bytes) = tx.get(&key).await? else { return Ok(()) };
            let mut row = OperationRow::decode(&key, &bytes)?;
            let Some(generation) = rebuilt::generation_of(row.cursor.as_ref()) else { return Ok(()) };
            rebuilds.abandon(generation, &tx).await?;
            row.cursor = None;
            tx.system_keys().put(key, row.encode()?).await
        });
        Box::pin(abandon).await
    }

    /// Notes what a step has done whose repetition does no harm.
    async fn note(&self, id: Uuid, progress: Progress) -> Result<Next> {
        let me = self.me;
        let note = self.queue.engine.transaction(|tx| async move {
            let mut row = match turn(&tx, id, me).await? {
                Turn::Not(next) => return Ok(next),
                Turn::Step(row, _) => row,
            };
            row.hold(me, tx.now());
            row.note(progress.clone(), tx.now());
            let next = after(&row, tx.now().millis());
            tx.system_keys().put(keys::operation(id), row.encode()?).await?;
            Ok(next)
        });
        note.await
    }
}
