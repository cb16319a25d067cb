//! Deletes a table.

use super::known::KnownCatalogues;
use super::{Catalogue, change};
use crate::database::{Database, PageSize, Walk};
use crate::error::Result;
use crate::event::settle_topics;
use crate::keys::{self, KeyRange};

/// How many keys one transaction deletes, and about how many bytes it reads of them.
const BATCH: usize = 500;
const BATCH_BYTES: usize = 4 << 20;

impl Database {
    /// Deletes a table: its rows, the entries of all its indexes, and its catalogue. Events of its rows are left alone, and
    /// none are published. Returns how many rows there were.
    ///
    /// Writes to the table are refused from the beginning, in other processes within seconds. If other processes write
    /// to the database, it waits until all know about it, on TiKV some 35 s. It works in bounded transactions: after a
    /// failure or a crash, call it again to continue. Once it has returned, the table can be used again.
    ///
    /// # Errors
    /// [`TitoError::InvalidName`](crate::TitoError::InvalidName); those of the engine.
    pub async fn drop_table(&self, table: &str) -> Result<u64> {
        crate::check_name("table", table)?;
        change::change(self, table, |catalogue: &mut Catalogue| {
            let is_changed = !catalogue.dropping;
            catalogue.dropping = true;
            Ok(is_changed)
        })
        .await?;
        settle_topics(self).await?;
        let is_dropping = |catalogue: &Catalogue| catalogue.dropping;
        delete_range(self, table, keys::indexes_of_table(table), is_dropping).await?;
        let rows = delete_range(self, table, keys::rows(table), is_dropping).await?;
        self.transaction(|tx| async move {
            match Catalogue::read(&tx, table).await? {
                Some(catalogue) if catalogue.dropping => tx.system_keys().delete(keys::catalogue(table)).await,
                _ => Ok(()),
            }
        })
        .await?;
        KnownCatalogues::of(self).forget(table);
        Ok(rows)
    }
}

/// Deletes all keys of a range in bounded transactions, as long as the catalogue of the table says that they are to be
/// deleted, and returns how many there were. Another process may have done it, and the table be in use again.
pub(super) async fn delete_range(
    database: &Database,
    table: &str,
    range: KeyRange,
    is_dropping: impl Fn(&Catalogue) -> bool + Send + Sync,
) -> Result<u64> {
    let is_dropping = &is_dropping;
    let mut deleted = 0;
    let mut left = Walk::over(range).in_pages(PageSize::entries(BATCH).and_bytes(BATCH_BYTES));
    while !left.is_over() {
        let from = left.clone();
        let (keys, rest) = database
            .transaction(|tx| async move {
                if !Catalogue::read(&tx, table).await?.is_some_and(|catalogue| is_dropping(&catalogue)) {
                    return Ok((0, None));
                }
                tx.lock_keys(vec![keys::catalogue(table)]).await?;
                let mut walk = from;
                let page = walk.next_in(&tx).await?.unwrap_or_default();
                let keys = page.len() as u64;
                for (key, _) in page {
                    tx.system_keys().delete(key).await?;
                }
                Ok((keys, Some(walk)))
            })
            .await?;
        deleted += keys;
        let Some(rest) = rest else { break };
        left = rest;
    }
    Ok(deleted)
}
