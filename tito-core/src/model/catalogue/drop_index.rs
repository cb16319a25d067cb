//! Deletes an index.

use super::drop_table::delete_range;
use super::{Catalogue, IndexState, change};
use crate::database::Database;
use crate::error::{Result, TitoError};
use crate::event::settle_topics;
use crate::keys;

impl Database {
    /// Deletes an index of a table: its entries, and that the catalogue has it. Queries by it are refused from the beginning,
    /// by programs of other processes within seconds. Returns how many entries there were.
    ///
    /// For one that no program defines any more, which a [migration](Database::migrate) with all models of the program
    /// deletes as well. A program that still defines it goes on adding entries, which nothing reads until a
    /// [reindexing](crate::model::TitoTable::reindex) has made the index whole again.
    ///
    /// Where other processes write to the database, it waits until all have learnt of it, on TiKV some 35 s. Done in
    /// bounded transactions: after a failure or a crash call it again, and it goes on.
    ///
    /// # Errors
    /// [`TitoError::InvalidName`]; [`TitoError::InvalidIndex`] if the catalogue of the table does not have it; those of the
    /// engine.
    pub async fn drop_index(&self, table: &str, index: &str) -> Result<u64> {
        crate::check_name("table", table)?;
        change::change(self, table, |catalogue| match catalogue.indexes.get_mut(index) {
            None => Err(TitoError::InvalidIndex {
                table: table.to_string(),
                index: index.to_string(),
                reason: "the catalogue of the table does not have it",
            }),
            Some(found) => {
                let is_changed = found.state != IndexState::Dropping;
                (found.state, found.position) = (IndexState::Dropping, None);
                Ok(is_changed)
            }
        })
        .await?;
        settle_topics(self).await?;
        let is_dropping = |catalogue: &Catalogue| {
            catalogue.indexes.get(index).is_some_and(|found| found.state == IndexState::Dropping)
        };
        let deleted = delete_range(self, table, keys::index_entries(table, index), is_dropping).await?;
        change::change(
            self,
            table,
            |catalogue| Ok(is_dropping(catalogue) && catalogue.indexes.remove(index).is_some()),
        )
        .await?;
        Ok(deleted)
    }
}
