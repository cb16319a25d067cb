//! Writes to keys that are Tito's own.

use super::transaction::Transaction;
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
    /// # Errors
    /// See [`Transaction::put`].
    pub async fn put(self, key: Vec<u8>, value: Vec<u8>) -> Result<()> {
        self.0.put_any(key, value).await
    }

    /// [`Transaction::insert`] of any key.
    ///
    /// # Errors
    /// See [`Transaction::insert`].
    pub async fn insert(self, key: Vec<u8>, value: Vec<u8>) -> Result<()> {
        self.0.insert_any(key, value).await
    }

    /// [`Transaction::delete`] of any key.
    ///
    /// # Errors
    /// See [`Transaction::delete`].
    pub async fn delete(self, key: Vec<u8>) -> Result<()> {
        self.0.delete_any(key).await
    }
}
