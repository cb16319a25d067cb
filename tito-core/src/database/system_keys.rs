//! Writes to keys that are Tito's own.

use super::transaction::Transaction;
use crate::engine::TallyChange;
use crate::error::Result;

/// Writes to Tito's own keys, as [`Transaction::system_keys`] hands them out.
#[derive(Clone, Copy, Debug)]
pub struct SystemKeys<'a>(&'a Transaction);

impl Transaction {
    /// Writes to the keys that are Tito's own, which [`put`](Transaction::put), [`insert`](Transaction::insert) and
    /// [`delete`](Transaction::delete) refuse. Everything that Tito stores goes through it, and so does a repair by
    /// hand, say of a topic's damaged row. Keys and values have to follow `docs/format.md` in Tito's repository, which
    /// nothing here checks; [`keys`](crate::keys) builds keys.
    ///
    /// To delete a model's row, even a damaged one, better use
    /// [`delete_damaged`](crate::model::TitoTable::delete_damaged), which sees to its index entries.
    ///
    /// ```
    /// # use tito_core::prelude::*;
    /// # use tito_core::keys;
    /// # async fn example(db: Database) -> Result<(), TitoError> {
    /// db.transaction(|tx| async move { tx.system_keys().delete(keys::topic("nightly")).await }).await
    /// # }
    /// ```
    pub fn system_keys(&self) -> SystemKeys<'_> {
        SystemKeys(self)
    }
}

impl SystemKeys<'_> {
    /// [`Transaction::put`] of any key.
    ///
    /// Of an event that is to be handled [`put_pending`](SystemKeys::put_pending) knows more: after this one the events of
    /// the queue have to be counted again by whoever wants to know how many there are.
    ///
    /// # Errors
    /// See [`Transaction::put`].
    pub async fn put(self, key: Vec<u8>, value: Vec<u8>) -> Result<()> {
        let change = self.0.pending_change(&key, [Some(TallyChange::Something), None]);
        self.0.put_any(key, value).await?;
        self.0.note_pending(change);
        Ok(())
    }

    /// [`Transaction::insert`] of any key.
    ///
    /// # Errors
    /// See [`Transaction::insert`].
    pub async fn insert(self, key: Vec<u8>, value: Vec<u8>) -> Result<()> {
        let change = self.0.pending_change(&key, [Some(TallyChange::Something), None]);
        self.0.insert_any(key, value).await?;
        self.0.note_pending(change);
        Ok(())
    }

    /// [`Transaction::delete`] of any key. See [`put`](SystemKeys::put) for those of events.
    ///
    /// # Errors
    /// See [`Transaction::delete`].
    pub async fn delete(self, key: Vec<u8>) -> Result<()> {
        let change = self.0.pending_change(&key, [Some(TallyChange::Something), None]);
        self.0.delete_any(key).await?;
        self.0.note_pending(change);
        Ok(())
    }

    /// Stores an event that is to be handled at `due`, in Unix seconds, in the place of one that was to be handled at
    /// `before`; `None` where there is none under the key.
    ///
    /// # Errors
    /// See [`Transaction::put`].
    pub async fn put_pending(self, key: Vec<u8>, value: Vec<u8>, due: i64, before: Option<i64>) -> Result<()> {
        let changes = [before.map(|before| by(before, -1)), Some(by(due, 1))];
        let change = self.0.pending_change(&key, changes).filter(|_| before != Some(due));
        self.0.put_any(key, value).await?;
        self.0.note_pending(change);
        Ok(())
    }

    /// Deletes an event that is stored under the key, and was to be handled at `due`, in Unix seconds.
    ///
    /// # Errors
    /// See [`Transaction::delete`].
    pub async fn delete_pending(self, key: Vec<u8>, due: i64) -> Result<()> {
        let change = self.0.pending_change(&key, [Some(by(due, -1)), None]);
        self.0.delete_any(key).await?;
        self.0.note_pending(change);
        Ok(())
    }
}

fn by(number: i64, by: i64) -> TallyChange {
    TallyChange::By { number, by }
}
