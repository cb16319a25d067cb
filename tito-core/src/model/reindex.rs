//! Rebuilds an index while it is in use.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::catalogue::{advance_building, begin_building, finish_building};
use super::cursor::Cursor;
use super::index::{IndexDefinition, IndexEntry};
use super::query::check_index;
use super::repository::{TitoTable, decode_row};
use super::schema::TitoSchema;
use super::walk::{calls_for, parse_entry};
use crate::database::{PageSize, Transaction, Walk};
use crate::error::{KeyText, Result, TitoError};
use crate::keys;

/// How many rows or entries one transaction goes over unless told otherwise.
const BATCH: usize = 200;

/// A transaction ends early when it reaches this many keys, for rows with many values each.
const KEYS_OF_A_TRANSACTION: usize = 2_000;

/// What a reindexing goes over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReindexPhase {
    /// The rows of the table, to add entries that are missing.
    Rows,
    /// The entries of the index, to remove those that no row calls for.
    Entries,
}

/// How far a reindexing has got, after each of its transactions.
#[derive(Clone, Debug)]
pub struct ReindexProgress {
    /// What it goes over.
    pub phase: ReindexPhase,
    /// What it has done so far.
    pub done: ReindexReport,
    /// The last key that it has gone over. [`Reindex::resume`] continues an interrupted run from here.
    pub position: Cursor,
}

/// What a reindexing has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReindexReport {
    /// Rows looked at.
    pub rows: u64,
    /// Entries added.
    pub added: u64,
    /// Entries removed.
    pub removed: u64,
    /// Rows that can't be read: their existing entries stay, and none are added. See [`TitoTable::check`].
    pub damaged: u64,
}

type OnProgress = Box<dyn FnMut(&ReindexProgress) + Send>;

/// A reindexing, to be [run](Reindex::run). See [`TitoTable::reindex`].
#[must_use = "nothing is done before it is run"]
pub struct Reindex<M> {
    pub(super) model: TitoTable<M>,
    pub(super) index: Cow<'static, str>,
    pub(super) batch: usize,
    on_progress: Option<OnProgress>,
    resume: Option<Cursor>,
}

impl<M> fmt::Debug for Reindex<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reindex")
            .field("model", &self.model)
            .field("index", &self.index)
            .field("batch", &self.batch)
            .field("resume", &self.resume)
            .finish_non_exhaustive()
    }
}

impl<M: TitoSchema> TitoTable<M> {
    /// Makes an index hold exactly the entries that the rows need, after it was added, or its fields, its condition or
    /// its uniqueness were changed. Takes the index's name or its [handle](super::Index).
    ///
    /// The table stays in use meanwhile, as long as all writers define the index as this process does: transactions of
    /// bounded size first go over the rows and add missing entries, then over the entries and remove the others. A
    /// transaction that meets a concurrent write of the same row is repeated.
    ///
    /// ```
    /// # use tito_core::prelude::*;
    /// # use tito_core::model::TitoSchema;
    /// # async fn example<M: TitoSchema>(users: TitoTable<M>) -> Result<(), TitoError> {
    /// let report = users
    ///     .reindex("by_email")
    ///     .batch(500)
    ///     .on_progress(|progress| println!("{} rows, at {}", progress.done.rows, progress.position))
    ///     .run()
    ///     .await?;
    /// println!("{} entries added, {} removed", report.added, report.removed);
    /// # Ok(())
    /// # }
    /// ```
    pub fn reindex(&self, index: impl Into<Cow<'static, str>>) -> Reindex<M> {
        Reindex { model: self.clone(), index: index.into(), batch: BATCH, on_progress: None, resume: None }
    }
}

/// What one transaction has done.
pub(super) struct Step {
    pub(super) done: ReindexReport,
    /// The last key that was gone over, unless there was none left.
    pub(super) last: Option<Vec<u8>>,
    /// What is left.
    rest: Walk,
}

impl<M: TitoSchema> Reindex<M> {
    /// How many rows or entries one transaction goes over; at least 1. Default 200.
    pub fn batch(mut self, rows: usize) -> Self {
        self.batch = rows.max(1);
        self
    }

    /// Calls `f` after each transaction.
    pub fn on_progress(mut self, f: impl FnMut(&ReindexProgress) + Send + 'static) -> Self {
        self.on_progress = Some(Box::new(f));
        self
    }

    /// Continues where another run of the same index stopped: at the last [position](ReindexProgress::position) that it
    /// reported, or from the beginning with `None`.
    pub fn resume(mut self, from: impl Into<Option<Cursor>>) -> Self {
        self.resume = from.into();
        self
    }

    /// Runs it, and returns what it has done.
    ///
    /// # Errors
    /// [`TitoError::Application`] for the rows of a view; [`TitoError::InvalidIndex`] if the model has no such index;
    /// [`TitoError::InvalidCursor`] for a position of another index; [`TitoError::DuplicateRows`] if the index is unique and
    /// two rows have one value, or one has that of a row that can't be read;
    /// [`TitoError::InvalidIndexValue`]; those of the engine. What was committed by then stays done.
    pub async fn run(mut self) -> Result<ReindexReport> {
        let mut on_progress = self.on_progress.take().unwrap_or_else(|| Box::new(|_: &ReindexProgress| ()));
        self.build(&mut *on_progress).await
    }

    /// Like [`run`](Reindex::run), and goes on where a building that was cut off had come to.
    pub(super) async fn build(
        mut self,
        on_progress: &mut (dyn FnMut(&ReindexProgress) + Send),
    ) -> Result<ReindexReport> {
        if self.model.is_of_a_view {
            return Err(TitoError::application("rows of a view can't be reindexed: rebuild what keeps them"));
        }
        let definition = check_index::<M>(&self.model.table, &self.index, None)?;
        let position = begin_building(&self.model.database, &self.model.table, &definition).await?;
        self.resume = self.resume.or(position);
        let walk = |range| Walk::over(range).in_pages(PageSize::entries(self.batch));
        let mut rows = Some(walk(keys::rows(&self.model.table)));
        let mut entries = walk(keys::index_entries(&self.model.table, &self.index));
        if let Some(from) = self.resume.take() {
            if entries.pass(from.key()) {
                rows = None;
            } else if !rows.as_mut().is_some_and(|rows| rows.pass(from.key())) {
                let reason = "its place is neither in the table nor in the index";
                return Err(TitoError::InvalidCursor { reason });
            }
        }
        let mut report = ReindexReport::default();
        if let Some(rows) = rows {
            self.go_over(ReindexPhase::Rows, rows, &definition, &mut report, on_progress).await?;
        }
        self.go_over(ReindexPhase::Entries, entries, &definition, &mut report, on_progress).await?;
        finish_building(&self.model.database, &self.model.table, &definition).await?;
        Ok(report)
    }

    async fn go_over(
        &mut self,
        phase: ReindexPhase,
        mut walk: Walk,
        definition: &IndexDefinition,
        report: &mut ReindexReport,
        on_progress: &mut (dyn FnMut(&ReindexProgress) + Send),
    ) -> Result<()> {
        while !walk.is_over() {
            let batch = Batch { model: self.model.clone(), definition: definition.clone(), walk };
            let step = match phase {
                ReindexPhase::Rows => {
                    self.model.database.transaction(move |tx| async move { batch.add_missing(&tx).await }).await?
                }
                ReindexPhase::Entries => {
                    self.model.database.transaction(move |tx| async move { batch.remove_others(&tx).await }).await?
                }
            };
            walk = step.rest;
            let Some(last) = step.last else { break };
            report.rows += step.done.rows;
            report.added += step.done.added;
            report.removed += step.done.removed;
            report.damaged += step.done.damaged;
            on_progress(&ReindexProgress { phase, done: *report, position: Cursor::new(last) });
        }
        Ok(())
    }
}

/// The work of one transaction.
pub(super) struct Batch<M> {
    pub(super) model: TitoTable<M>,
    pub(super) definition: IndexDefinition,
    pub(super) walk: Walk,
}

impl<M> Clone for Batch<M> {
    fn clone(&self) -> Self {
        Self { model: self.model.clone(), definition: self.definition.clone(), walk: self.walk.clone() }
    }
}

impl<M: TitoSchema> Batch<M> {
    /// Goes over rows and adds the entries that they miss.
    pub(super) async fn add_missing(self, tx: &Transaction) -> Result<Step> {
        let table = &self.model.table;
        let mut rest = self.walk.clone();
        let page = rest.next_in(tx).await?.unwrap_or_default();
        let mut step = Step { done: ReindexReport::default(), last: None, rest };
        // Row keys to lock, and the entries that the rows call for with the ids of the rows.
        let (mut locks, mut wanted) = (Vec::new(), Vec::new());
        for (row_key, bytes) in page {
            step.done.rows += 1;
            match decode_row::<M>(&row_key, &bytes) {
                Ok(row) => {
                    let id = row.id();
                    let entries = row.index_entries()?.into_iter().filter(|entry| entry.name == self.definition.name);
                    wanted.extend(entries.map(|entry| (entry.key(table, &id), entry, id.clone())));
                    locks.push(row_key.clone());
                }
                Err(error) => {
                    tracing::warn!(%table, index = %self.definition.name, %error, "a row that can't be read is skipped");
                    step.done.damaged += 1;
                }
            }
            let is_enough = locks.len() + wanted.len() >= KEYS_OF_A_TRANSACTION;
            if is_enough {
                step.rest = self.walk.clone();
                step.rest.pass(&row_key);
            }
            step.last = Some(row_key);
            if is_enough {
                break;
            }
        }
        let entry_keys: Vec<_> = wanted.iter().map(|(key, ..)| key.clone()).collect();
        let stored = tx.batch_get(entry_keys.clone()).await?;
        let mut present: HashMap<_, _> =
            entry_keys.into_iter().zip(stored).filter_map(|(key, value)| Some((key, value?))).collect();
        // A concurrent write of one of the rows is a conflict, so that no entry is added for what has just changed.
        tx.lock_keys(locks).await?;
        for (key, entry, id) in wanted {
            let value = entry.value(&id);
            if let Some(there) = present.get(&key) {
                if *there == value {
                    continue;
                }
                self.check_holder(&key, &entry, there, &id, tx).await?;
            }
            tx.system_keys().put(key.clone(), value.clone()).await?;
            present.insert(key, value);
            step.done.added += 1;
        }
        self.advance(&step, tx).await?;
        Ok(step)
    }

    /// The entry `key` holds something else than the row `id` needs there. Fails if a row that calls for it does.
    async fn check_holder(
        &self,
        key: &[u8],
        entry: &IndexEntry,
        holder: &[u8],
        id: &str,
        tx: &Transaction,
    ) -> Result<()> {
        let Some(holder) =
            std::str::from_utf8(holder).ok().filter(|holder| self.definition.unique && !holder.is_empty())
        else {
            return Ok(());
        };
        let row_key = self.model.row_key(holder)?;
        tx.lock_keys(vec![row_key.clone()]).await?;
        let is_held = match self.model.read(&row_key, tx).await {
            Ok(Some(row)) => calls_for(&row, &self.definition.name, &entry.fields)?,
            Ok(None) => false,
            // It may call for the entry.
            Err(TitoError::Malformed { .. }) => true,
            Err(error) => return Err(error),
        };
        if !is_held {
            return Ok(());
        }
        Err(TitoError::DuplicateRows { key: KeyText::from(key), ids: [holder.to_string(), id.to_string()] })
    }

    /// Goes over entries and removes those that no row calls for. A write that makes a row call for one of them writes
    /// the entry, which is a conflict.
    pub(super) async fn remove_others(self, tx: &Transaction) -> Result<Step> {
        let mut rest = self.walk.clone();
        let page = rest.next_in(tx).await?.unwrap_or_default();
        let mut step = Step { done: ReindexReport::default(), last: None, rest };
        // The keys of entries that can be read, with their fields and the keys of their rows.
        let (mut readable, mut row_keys) = (Vec::new(), Vec::new());
        let mut others = Vec::new();
        for (key, value) in &page {
            match parse_entry(self.definition.unique, key, value) {
                Some(entry) => {
                    row_keys.push(keys::row(&self.model.table, &entry.id));
                    readable.push((key, entry.fields));
                }
                None => others.push(key),
            }
        }
        let rows = tx.batch_get(row_keys.clone()).await?;
        for (((key, fields), row_key), bytes) in readable.into_iter().zip(&row_keys).zip(rows) {
            let called_for = match bytes {
                // A row that can't be read may call for it.
                Some(bytes) => match decode_row::<M>(row_key, &bytes) {
                    Ok(row) => calls_for(&row, &self.definition.name, fields)?,
                    Err(_) => true,
                },
                None => false,
            };
            if !called_for {
                others.push(key);
            }
        }
        for key in others {
            tx.system_keys().delete(key.clone()).await?;
            step.done.removed += 1;
        }
        step.last = page.last().map(|(key, _)| key.clone());
        self.advance(&step, tx).await?;
        Ok(step)
    }

    async fn advance(&self, step: &Step, tx: &Transaction) -> Result<()> {
        let Some(last) = &step.last else { return Ok(()) };
        advance_building(tx, &self.model.table, &self.definition, Cursor::new(last.clone())).await
    }
}
