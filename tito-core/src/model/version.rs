//! Writes that depend on a row being as it was when it was read.

use std::fmt::Display;

use super::repository::{TitoTable, decode_row};
use super::schema::TitoSchema;
use crate::database::Transaction;
use crate::error::{Result, TitoError};
use crate::version::RowVersion;

impl<M: TitoSchema> TitoTable<M> {
    /// The row with this id, if there is one, and its version.
    ///
    /// ```
    /// use tito_core::TitoModel;
    /// # use tito_core::prelude::*;
    /// use serde::{Deserialize, Serialize};
    ///
    /// #[derive(Clone, Serialize, Deserialize, TitoModel)]
    /// struct Account {
    ///     id: String,
    ///     cents: i64,
    /// }
    ///
    /// # async fn example(db: Database) -> Result<(), TitoError> {
    /// let accounts = db.model::<Account>();
    /// let read = db.transaction(|tx| async move { accounts.get_with_version("17", &tx).await }).await?;
    /// let Some((account, version)) = read else { return Ok(()) };
    /// // Somebody thinks about it for a while, and then:
    /// let (accounts, raised) = (db.model::<Account>(), Account { cents: account.cents + 500, ..account });
    /// db.transaction(|tx| async move {
    ///     accounts.assert_version("17", version, &tx).await?;
    ///     accounts.update(&raised, &tx).await
    /// })
    /// .await
    /// # }
    /// ```
    ///
    /// # Errors
    /// Those of [`get`](TitoTable::get).
    pub async fn get_with_version(&self, id: impl Display, tx: &Transaction) -> Result<Option<(M, RowVersion)>> {
        let key = self.row_key(&id.to_string())?;
        let Some(stored) = tx.get(&key).await? else { return Ok(None) };
        Ok(Some((decode_row(&key, &stored)?, RowVersion::of(&stored))))
    }

    /// Lets the transaction commit only if there is a row with this id, and nobody else writes it until then: for a
    /// decision that depends on a row without writing it. Of two transactions that call it for the same row, one meets
    /// a conflict and runs again.
    ///
    /// # Errors
    /// [`TitoError::RowNotFound`]; [`TitoError::InvalidName`] for an empty id; those of the engine.
    pub async fn assert_current(&self, id: impl Display, tx: &Transaction) -> Result<()> {
        self.version_until_commit(&id.to_string(), tx).await.map(drop)
    }

    /// Like [`assert_current`](TitoTable::assert_current), and refuses a decision that was based on an old state of the
    /// row: its version must be the one that was read, in this transaction or long before.
    ///
    /// # Errors
    /// [`TitoError::VersionConflict`], which has both versions; else as [`assert_current`](TitoTable::assert_current).
    pub async fn assert_version(&self, id: impl Display, version: RowVersion, tx: &Transaction) -> Result<()> {
        let id = id.to_string();
        let actual = self.version_until_commit(&id, tx).await?;
        if actual == version {
            return Ok(());
        }
        Err(TitoError::VersionConflict { table: self.table.to_string(), id, expected: version, actual })
    }

    async fn version_until_commit(&self, id: &str, tx: &Transaction) -> Result<RowVersion> {
        let key = self.row_key(id)?;
        let Some(stored) = tx.get(&key).await? else {
            return Err(TitoError::RowNotFound { table: self.table.to_string(), id: id.to_string() });
        };
        tx.lock_keys(vec![key]).await?;
        Ok(RowVersion::of(&stored))
    }
}
