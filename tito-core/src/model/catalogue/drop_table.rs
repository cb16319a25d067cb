//! Deletes a table.

use super::known::KnownCatalogues;
use super::{Catalogue, change};
use crate::database::Database;
use crate::error::Result;
use crate::event::settle_topics;
use crate::keys::{self, KeyRange};

/// How many keys one transaction deletes, the first one and others, and about how many bytes of values it reads with them.
const FIRST_BATCH: usize = 16;
const LARGEST_BATCH: usize = 500;
const BATCH_BYTES: usize = 8 << 20;

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
    mut range: KeyRange,
    is_dropping: impl Fn(&Catalogue) -> bool + Send + Sync,
) -> Result<u64> {
    let is_dropping = &is_dropping;
    let (mut deleted, mut batch) = (0, FIRST_BATCH);
    loop {
        let left = range.clone();
        let page = database
            .transaction(|tx| async move {
                if !Catalogue::read(&tx, table).await?.is_some_and(|catalogue| is_dropping(&catalogue)) {
                    return Ok(Vec::new());
                }
                tx.lock_keys(vec![keys::catalogue(table)]).await?;
                let page = tx.scan(left, batch).await?;
                for (key, _) in &page {
                    tx.system_keys().delete(key.clone()).await?;
                }
                Ok(page)
            })
            .await?;
        let Some((last, _)) = page.last() else { return Ok(deleted) };
        range = range.after(last);
        deleted += page.len() as u64;
        // Rows of one table are about alike.
        let bytes = page.iter().map(|(key, value)| key.len() + value.len()).sum::<usize>();
        batch = (BATCH_BYTES / (bytes / page.len()).max(1)).clamp(1, LARGEST_BATCH);
    }
}
