//! Writes of rows, with their index entries and events.

use std::collections::{BTreeMap, HashSet};
use std::fmt::Display;

use super::catalogue::check_write;
use super::index::IndexEntry;
use super::options::TitoOptions;
use super::repository::TitoTable;
use super::schema::{Change, TitoOperation, TitoSchema};
use crate::database::Transaction;
use crate::error::{Result, TitoError};
use crate::event::{EventRow, OutboxEvent, write_event_into};
use crate::names;
use crate::row;

impl<M: TitoSchema> TitoTable<M> {
    /// Writes a row that must not exist, with its index entries and events. It reads nothing: whether the row exists is
    /// found out at the commit, or at once if this transaction has written it or if it has
    /// [`TxOptions::check_inserts`].
    ///
    /// Its id, its entries, and whether and when it publishes events follow from the row as it will be read back: a
    /// field that serde writes in another form, such as in lower case, is indexed in that form.
    ///
    /// [`TxOptions::check_inserts`]: crate::TxOptions::check_inserts
    ///
    /// # Errors
    /// [`TitoError::AlreadyExists`], here or at the commit, if there is a row with this id or one with a unique value
    /// of this one ([`violated_index`](TitoError::violated_index) tells them apart); [`TitoError::InvalidName`] for an
    /// empty id or a name of a table, an index or an event that can't be one; [`TitoError::InvalidIndexValue`];
    /// [`TitoError::Unserializable`], which names the field, for a row that could not be read back; those of the
    /// engine, of which [`TitoError::LimitExceeded`] is also the error for an id that is too long.
    pub async fn insert(&self, row: &M, tx: &Transaction) -> Result<()> {
        let call = tx.nested();
        self.insert_row(row, true, &call).await?;
        call.merge()
    }

    /// Another name of [`insert`](TitoTable::insert).
    ///
    /// # Errors
    /// Those of [`insert`](TitoTable::insert).
    pub async fn create(&self, row: &M, tx: &Transaction) -> Result<()> {
        self.insert(row, tx).await
    }

    /// Replaces the row with this id. Index entries that stay the same are left alone; the values that it no longer has
    /// in unique indexes are free at once, even in the same transaction.
    ///
    /// # Errors
    /// [`TitoError::RowNotFound`] if there is none; [`TitoError::Malformed`] if the stored one can't be read; else as
    /// [`insert`](TitoTable::insert).
    pub async fn update(&self, row: &M, tx: &Transaction) -> Result<()> {
        let call = tx.nested();
        self.update_row(row, true, &call).await?;
        call.merge()
    }

    /// Inserts the row, or updates it if there is one with its id, and says which of the two it did.
    ///
    /// # Errors
    /// Those of [`insert`](TitoTable::insert) and [`update`](TitoTable::update).
    pub async fn upsert(&self, row: &M, tx: &Transaction) -> Result<TitoOperation> {
        let (call, new) = (tx.nested(), self.write_out(row)?);
        let operation = match self.read(&new.key, &call).await? {
            Some(old) => {
                self.replace(&old, new, true, &call).await?;
                TitoOperation::Update
            }
            None => {
                self.insert_written(new, true, &call).await?;
                TitoOperation::Insert
            }
        };
        call.merge()?;
        Ok(operation)
    }

    /// Deletes the row with this id and its index entries, and says whether there was one.
    ///
    /// # Errors
    /// [`TitoError::Malformed`] if the stored row can't be read, as its entries and events are unknown then
    /// ([`delete_damaged`](TitoTable::delete_damaged) deletes such a row); otherwise as [`insert`](TitoTable::insert).
    pub async fn delete(&self, id: impl Display, tx: &Transaction) -> Result<bool> {
        let call = tx.nested();
        let was_there = self.delete_row(&id.to_string(), true, &call).await?;
        call.merge()?;
        Ok(was_there)
    }

    /// Performs the operation of the options with the row, and returns it: with [`TitoOperation::Delete`] the row with
    /// its id is deleted, if there is one. Its id is that of the row as it will be read, as in
    /// [`insert`](TitoTable::insert).
    ///
    /// # Errors
    /// Those of [`insert`](TitoTable::insert), [`update`](TitoTable::update) or [`delete`](TitoTable::delete).
    pub async fn build_with_options(&self, row: M, options: TitoOptions, tx: &Transaction) -> Result<M> {
        let call = tx.nested();
        match options.operation {
            TitoOperation::Insert => self.insert_row(&row, options.events, &call).await?,
            TitoOperation::Update => self.update_row(&row, options.events, &call).await?,
            TitoOperation::Delete => {
                self.delete_row(&self.written_id(&row)?, options.events, &call).await?;
            }
        }
        call.merge()?;
        Ok(row)
    }

    async fn insert_row(&self, row: &M, events: bool, tx: &Transaction) -> Result<()> {
        self.insert_written(self.write_out(row)?, events, tx).await
    }

    async fn insert_written(&self, new: Written<M>, events: bool, tx: &Transaction) -> Result<()> {
        check_write::<M>(tx).await?;
        tx.system_keys().insert(new.key, new.value).await?;
        for entry in &new.entries {
            self.add_entry(entry, &new.id, tx).await?;
        }
        if events {
            self.write_events(TitoOperation::Insert, None, &new.row, tx).await?;
        }
        Ok(())
    }

    async fn update_row(&self, row: &M, events: bool, tx: &Transaction) -> Result<()> {
        let new = self.write_out(row)?;
        match self.read(&new.key, tx).await? {
            Some(old) => self.replace(&old, new, events, tx).await,
            None => Err(TitoError::RowNotFound { table: self.table.to_string(), id: new.id }),
        }
    }

    async fn replace(&self, old: &M, new: Written<M>, events: bool, tx: &Transaction) -> Result<()> {
        check_write::<M>(tx).await?;
        let (before, after) = (old.index_entries()?, new.entries);
        let (kept, wanted): (HashSet<_>, HashSet<_>) = (before.iter().collect(), after.iter().collect());
        tx.system_keys().put(new.key, new.value).await?;
        self.remove_entries(before.iter().filter(|entry| !wanted.contains(entry)), &new.id, tx).await?;
        for entry in after.iter().filter(|entry| !kept.contains(entry)) {
            self.add_entry(entry, &new.id, tx).await?;
        }
        if events {
            self.write_events(TitoOperation::Update, Some(old), &new.row, tx).await?;
        }
        Ok(())
    }

    async fn delete_row(&self, id: &str, events: bool, tx: &Transaction) -> Result<bool> {
        let key = self.row_key(id)?;
        let Some(old) = self.read(&key, tx).await? else { return Ok(false) };
        check_write::<M>(tx).await?;
        tx.system_keys().delete(key).await?;
        self.remove_entries(old.index_entries()?.iter(), id, tx).await?;
        if events {
            self.write_events(TitoOperation::Delete, Some(&old), &old, tx).await?;
        }
        Ok(true)
    }

    /// The id under which a row is stored.
    fn written_id(&self, row: &M) -> Result<String> {
        Ok(self.read_back(row)?.1.id())
    }

    /// A row as it is stored, and as that is read.
    fn read_back(&self, row: &M) -> Result<(Vec<u8>, M)> {
        row::encode_and_read(format_args!("row {:?} of table {:?}", row.id(), self.table), row)
    }

    /// The row as it is about to be stored, with all that follows from it.
    fn write_out(&self, row: &M) -> Result<Written<M>> {
        let (value, row) = self.read_back(row)?;
        let id = row.id();
        Ok(Written { key: self.row_key(&id)?, value, entries: checked_entries(&row)?, id, row })
    }

    async fn add_entry(&self, entry: &IndexEntry, id: &str, tx: &Transaction) -> Result<()> {
        let (key, value) = (entry.key(&self.table, id), entry.value(id));
        if entry.unique { tx.system_keys().insert(key, value).await } else { tx.system_keys().put(key, value).await }
    }

    async fn remove_entries<'a>(
        &self,
        entries: impl Iterator<Item = &'a IndexEntry> + Send,
        id: &str,
        tx: &Transaction,
    ) -> Result<()> {
        let mut unique = Vec::new();
        for entry in entries {
            let key = entry.key(&self.table, id);
            if entry.unique {
                unique.push(key);
            } else {
                tx.system_keys().delete(key).await?;
            }
        }
        if unique.is_empty() {
            return Ok(());
        }
        // The entry is another row's where two rows had the same value before the index became unique.
        let owners = tx.batch_get(unique.clone()).await?;
        for (key, owner) in unique.into_iter().zip(owners) {
            if owner.as_deref() == Some(id.as_bytes()) {
                tx.system_keys().delete(key).await?;
            }
        }
        Ok(())
    }

    async fn write_events(&self, operation: TitoOperation, old: Option<&M>, row: &M, tx: &Transaction) -> Result<()> {
        let events = M::events(&Change { operation, old, row, now: tx.now() });
        if events.is_empty() {
            return Ok(());
        }
        let (entity, owner) = (row.entity(), row.owner());
        for event in events {
            let event = OutboxEvent {
                event_type: event.name,
                entity: entity.clone(),
                owner: owner.clone(),
                row: Some(EventRow::new(&*self.table, row.id())),
                action: operation.action().to_string(),
                timestamp: event.timestamp,
                headers: BTreeMap::new(),
                payload: None,
            };
            write_event_into(tx, event).await?;
        }
        Ok(())
    }
}

/// A row that is about to be stored. Everything is computed from it as it will be read, as serde may have been told to
/// write a field in another form, or not at all: what is indexed and told in events is what is stored.
struct Written<M> {
    id: String,
    key: Vec<u8>,
    value: Vec<u8>,
    row: M,
    entries: Vec<IndexEntry>,
}

/// The entries that a row calls for, with names that can be part of keys.
fn checked_entries<M: TitoSchema>(row: &M) -> Result<Vec<IndexEntry>> {
    let entries = row.index_entries()?;
    for entry in &entries {
        names::check("index", &entry.name)?;
    }
    Ok(entries)
}
