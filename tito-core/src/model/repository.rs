//! The rows of one model: the handle, and reads by id.

use std::borrow::Cow;
use std::fmt::Display;
use std::marker::PhantomData;

use super::damage::Damaged;
use super::schema::TitoSchema;
use crate::database::{Database, Transaction};
use crate::error::{Result, TitoError};
use crate::{keys, names, row};

/// How many rows one request of a read asks for at most.
pub(super) const ROWS_OF_A_REQUEST: usize = 128;

/// The rows of model `M` in a database. Clones are cheap.
///
/// Every call works within the caller's transaction, and sees what was written in it before. What it writes, the row
/// with its index entries and events, enters the transaction as a whole or, after an error or if the call is cancelled,
/// not at all.
pub struct TitoTable<M> {
    /// Whether its rows lie in a namespace, which only transactions know.
    pub(super) is_of_a_view: bool,
    pub(super) database: Database,
    pub(super) table: Cow<'static, str>,
    of: PhantomData<fn() -> M>,
}

impl Database {
    /// The rows of a model.
    pub fn model<M: TitoSchema>(&self) -> TitoTable<M> {
        TitoTable::new(self.clone())
    }
}

impl<M> Clone for TitoTable<M> {
    fn clone(&self) -> Self {
        Self {
            is_of_a_view: self.is_of_a_view,
            database: self.database.clone(),
            table: self.table.clone(),
            of: PhantomData,
        }
    }
}

impl<M> std::fmt::Debug for TitoTable<M> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TitoTable").field("table", &self.table).finish_non_exhaustive()
    }
}

impl<M: TitoSchema> TitoTable<M> {
    fn new(database: Database) -> Self {
        Self { is_of_a_view: false, database, table: M::table(), of: PhantomData }
    }

    /// The same rows, read in transactions with a [`Namespace`](crate::database::Namespace). Calls that begin their own
    /// transactions, such as [`reindex`](TitoTable::reindex), are refused: they would not find the rows.
    #[must_use]
    pub fn of_a_view(self) -> Self {
        Self { is_of_a_view: true, ..self }
    }

    /// The row with this id, if there is one.
    ///
    /// # Errors
    /// [`TitoError::Malformed`], which names the key, if what is stored is not a row of this model;
    /// [`TitoError::InvalidName`] for an empty id or a table that can't be one; those of the engine.
    pub async fn get(&self, id: impl Display, tx: &Transaction) -> Result<Option<M>> {
        self.read(&self.row_key(&id.to_string())?, tx).await
    }

    /// The rows with these ids, in their order; `None` where there is none.
    ///
    /// # Errors
    /// Those of [`get`](TitoTable::get), but [`TitoError::DamagedRows`], which names the keys, for rows that can't be read.
    pub async fn batch_get<I>(&self, ids: I, tx: &Transaction) -> Result<Vec<Option<M>>>
    where
        I: IntoIterator<Item: Display>,
    {
        let keys = ids.into_iter().map(|id| self.row_key(&id.to_string())).collect::<Result<Vec<_>>>()?;
        let mut rows = Vec::with_capacity(keys.len());
        let mut damaged = Damaged::default();
        for keys in keys.chunks(ROWS_OF_A_REQUEST) {
            let stored = tx.batch_get(keys.to_vec()).await?;
            for (key, bytes) in keys.iter().zip(stored) {
                rows.push(bytes.and_then(|bytes| damaged.sort_out(decode_row(key, &bytes))));
            }
        }
        damaged.none().map(|()| rows)
    }

    pub(super) async fn read(&self, key: &[u8], tx: &Transaction) -> Result<Option<M>> {
        tx.get(key).await?.map(|bytes| decode_row(key, &bytes)).transpose()
    }

    pub(super) fn row_key(&self, id: &str) -> Result<Vec<u8>> {
        row_key(&self.table, id)
    }
}

/// The key of a row, if table and id can have one.
pub(super) fn row_key(table: &str, id: &str) -> Result<Vec<u8>> {
    names::check("table", table)?;
    if id.is_empty() {
        return Err(TitoError::InvalidName { what: "id", name: String::new(), reason: "it is empty" });
    }
    Ok(keys::row(table, id))
}

/// Reads the row that is stored under `key`.
pub(super) fn decode_row<M: TitoSchema>(key: &[u8], bytes: &[u8]) -> Result<M> {
    row::decode(key, "a row of its model in JSON", bytes)
}
