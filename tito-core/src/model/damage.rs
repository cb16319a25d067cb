//! Rows that can't be read: how they are told of, and how one is deleted.

use std::fmt::Display;

use super::catalogue::check_write;
use super::repository::{TitoTable, decode_row};
use super::schema::TitoSchema;
use super::walk::parse_entry;
use crate::database::Transaction;
use crate::error::{KeyText, Result, TitoError};
use crate::keys;

/// How many keys an error names.
const NAMED: usize = 100;

/// How many entries one request of the search for those of a row asks for.
const ENTRIES_OF_A_REQUEST: usize = 1_000;

/// The rows that a call could not read.
#[derive(Default)]
pub(super) struct Damaged {
    keys: Vec<KeyText>,
    total: u64,
    first: Option<TitoError>,
}

impl Damaged {
    /// The row, or a note that it can't be read.
    pub(super) fn sort_out<T>(&mut self, row: Result<T>) -> Option<T> {
        row.map_err(|error| self.note(error)).ok()
    }

    fn note(&mut self, error: TitoError) {
        self.total += 1;
        match &error {
            TitoError::Malformed { key, .. } if self.keys.len() < NAMED => self.keys.push(key.clone()),
            _ => {}
        }
        self.first.get_or_insert(error);
    }

    /// An error if there were any.
    pub(super) fn none(self) -> Result<()> {
        match self.first {
            None => Ok(()),
            Some(first) => Err(TitoError::DamagedRows { keys: self.keys, total: self.total, source: Box::new(first) }),
        }
    }
}

impl<M: TitoSchema> TitoTable<M> {
    /// Deletes the row with this id, even one that can't be read, and says whether there was one. A row that can be
    /// read is [deleted](TitoTable::delete) like any other.
    ///
    /// For one that can't, its index entries are searched for, which reads all entries of the model's indexes within
    /// this transaction. It publishes no events, as nobody knows which.
    ///
    /// # Errors
    /// [`TitoError::InvalidName`] for an empty id or a table that can't be one; those of the engine.
    pub async fn delete_damaged(&self, id: impl Display, tx: &Transaction) -> Result<bool> {
        let id = id.to_string();
        let key = self.row_key(&id)?;
        let Some(bytes) = tx.get(&key).await? else { return Ok(false) };
        let error = match decode_row::<M>(&key, &bytes).and_then(|row| row.index_entries()) {
            Ok(_) => return self.delete(id, tx).await,
            Err(error) => error,
        };
        check_write::<M>(tx).await?;
        let call = tx.nested();
        call.system_keys().delete(key).await?;
        let mut entries = 0;
        for index in M::index_definitions() {
            let mut range = keys::index_entries(&self.table, &index.name);
            loop {
                let page = call.scan(range.clone(), ENTRIES_OF_A_REQUEST).await?;
                let Some((last, _)) = page.last() else { break };
                range = range.after(last);
                for (key, value) in page {
                    if parse_entry(index.unique, &key, &value).is_some_and(|entry| entry.id == id) {
                        call.system_keys().delete(key).await?;
                        entries += 1;
                    }
                }
            }
        }
        call.merge()?;
        tracing::warn!(table = %self.table, id, entries, %error, "a row that can't be read is deleted, without events");
        Ok(true)
    }
}
