//! Looks for rows that can't be read, and for entries that are not as the rows call for them.

use std::fmt;

use super::index::IndexDefinition;
use super::repository::{TitoTable, decode_row};
use super::schema::TitoSchema;
use super::walk::{calls_for, parse_entry};
use crate::database::Transaction;
use crate::error::{Result, TitoError};
use crate::keys::{self, KeyRange};
use crate::row::malformed;

/// How many rows or entries are read at one snapshot unless told otherwise.
const BATCH: usize = 200;

/// What a [check](TitoTable::check) has found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CheckReport {
    /// Rows looked at.
    pub rows: u64,
    /// Rows among them that can't be read.
    pub damaged_rows: u64,
    /// Entries looked at.
    pub entries: u64,
    /// Entries that rows should have but that are missing. [`reindex`](TitoTable::reindex) adds them.
    pub missing_entries: u64,
    /// Entries that belong to no row, which queries skip. [`reindex`](TitoTable::reindex) removes them.
    pub stale_entries: u64,
}

type OnDamaged = Box<dyn FnMut(&str, &TitoError) + Send>;

/// A check, to be [run](Check::run). See [`TitoTable::check`].
#[must_use = "nothing is looked at before it is run"]
pub struct Check<M> {
    model: TitoTable<M>,
    batch: usize,
    on_damaged: OnDamaged,
}

impl<M> fmt::Debug for Check<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Check").field("model", &self.model).field("batch", &self.batch).finish_non_exhaustive()
    }
}

impl<M: TitoSchema> TitoTable<M> {
    /// Reads every row and every index entry of the table, and reports those that are wrong. Changes nothing.
    ///
    /// ```
    /// # use tito_core::prelude::*;
    /// # use tito_core::model::TitoSchema;
    /// # async fn example<M: TitoSchema>(users: TitoTable<M>) -> Result<(), TitoError> {
    /// let report = users.check().on_damaged(|id, error| eprintln!("{id}: {error}")).run().await?;
    /// println!("{} of {} rows can't be read", report.damaged_rows, report.rows);
    /// # Ok(())
    /// # }
    /// ```
    pub fn check(&self) -> Check<M> {
        Check { model: self.clone(), batch: BATCH, on_damaged: Box::new(|_, _| ()) }
    }
}

impl<M: TitoSchema> Check<M> {
    /// How many rows or entries are read at one snapshot; at least 1. Default 200.
    pub fn batch(mut self, rows: usize) -> Self {
        self.batch = rows.max(1);
        self
    }

    /// Calls `f` with the id of each row that can't be read, as [`delete_damaged`](TitoTable::delete_damaged) takes it, and
    /// with the error.
    pub fn on_damaged(mut self, f: impl FnMut(&str, &TitoError) + Send + 'static) -> Self {
        self.on_damaged = Box::new(f);
        self
    }

    /// Runs it. Every batch is read at its own snapshot, so the table can be in use meanwhile.
    ///
    /// # Errors
    /// [`TitoError::Application`] for the rows of a view; those of the engine.
    pub async fn run(mut self) -> Result<CheckReport> {
        if self.model.is_of_a_view {
            return Err(TitoError::application("rows of a view can't be checked: rebuild what keeps them"));
        }
        let mut report = CheckReport::default();
        let mut range = keys::rows(&self.model.table);
        while let Some(last) = self.rows(range.clone(), &mut report).await? {
            range = range.after(&last);
        }
        for index in M::index_definitions() {
            let mut range = keys::index_entries(&self.model.table, &index.name);
            while let Some(last) = self.entries(&index, range.clone(), &mut report).await? {
                range = range.after(&last);
            }
        }
        Ok(report)
    }

    /// Looks at rows, and returns the last one's key.
    async fn rows(&mut self, range: KeyRange, report: &mut CheckReport) -> Result<Option<Vec<u8>>> {
        let tx = self.model.database.begin().await?;
        let page = tx.scan(range, self.batch).await?;
        let mut wanted = Vec::new();
        for (key, bytes) in &page {
            report.rows += 1;
            let (id, row) = match keys::parse_row_id(key) {
                Some(id) => (id, decode_row::<M>(key, bytes)),
                None => (
                    String::new(),
                    Err(malformed(key, "a row, whose id is in its key", "the id is not escaped as ids are")),
                ),
            };
            match row.and_then(|row| row.index_entries()) {
                Ok(entries) => wanted
                    .extend(entries.into_iter().map(|entry| (entry.key(&self.model.table, &id), entry.value(&id)))),
                Err(error) => {
                    report.damaged_rows += 1;
                    (self.on_damaged)(&id, &error);
                }
            }
        }
        let stored = tx.batch_get(wanted.iter().map(|(key, _)| key.clone()).collect()).await?;
        let missing = wanted.iter().zip(&stored).filter(|((_, value), stored)| stored.as_ref() != Some(value));
        report.missing_entries += missing.count() as u64;
        tx.rollback().await;
        Ok(page.last().map(|(key, _)| key.clone()))
    }

    /// Looks at entries, and returns the last one's key.
    async fn entries(
        &mut self,
        index: &IndexDefinition,
        range: KeyRange,
        report: &mut CheckReport,
    ) -> Result<Option<Vec<u8>>> {
        let tx = self.model.database.begin().await?;
        let page = tx.scan(range, self.batch).await?;
        report.entries += page.len() as u64;
        report.stale_entries += self.stale(index, &page, &tx).await?;
        tx.rollback().await;
        Ok(page.last().map(|(key, _)| key.clone()))
    }

    async fn stale(&mut self, index: &IndexDefinition, page: &[(Vec<u8>, Vec<u8>)], tx: &Transaction) -> Result<u64> {
        let entries: Vec<_> = page.iter().filter_map(|(key, value)| parse_entry(index.unique, key, value)).collect();
        let row_keys: Vec<_> = entries.iter().map(|entry| keys::row(&self.model.table, &entry.id)).collect();
        let rows = tx.batch_get(row_keys.clone()).await?;
        let mut stale = (page.len() - entries.len()) as u64;
        for ((entry, row_key), bytes) in entries.iter().zip(&row_keys).zip(rows) {
            let called_for = match bytes.map(|bytes| decode_row::<M>(row_key, &bytes)) {
                None => false,
                Some(Ok(row)) => calls_for(&row, &index.name, entry.fields).unwrap_or(true),
                // What it calls for, nobody knows.
                Some(Err(_)) => true,
            };
            stale += u64::from(!called_for);
        }
        Ok(stale)
    }
}
