//! What this process knows of catalogues, so that writes and queries read none.

use std::any::TypeId;
use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use super::{Catalogue, IndexState, change};
use crate::database::{Database, Transaction};
use crate::error::{Result, TitoError};
use crate::event::{CACHED, wait_by_the_engines_time};
use crate::model::schema::TitoSchema;

/// The catalogues that this process has read lately, by the model that asked.
#[derive(Debug, Default)]
pub(super) struct KnownCatalogues(RwLock<HashMap<TypeId, Arc<Known>>>);

#[derive(Debug)]
struct Known {
    table: String,
    catalogue: Catalogue,
    read_at_millis: u64,
    /// Whether the model writes every entry that the catalogue says is there.
    is_complete: bool,
}

impl KnownCatalogues {
    pub(super) fn of(database: &Database) -> &Self {
        database.shared().value()
    }

    fn load(&self, model: TypeId, monotonic_millis: u64) -> Option<Arc<Known>> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let found = known.get(&model)?;
        let is_current = monotonic_millis.saturating_sub(found.read_at_millis) < CACHED.as_millis() as u64;
        is_current.then(|| found.clone())
    }

    fn store(&self, model: TypeId, read: Known) -> Arc<Known> {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        // This process may have changed it since.
        match known.get(&model) {
            Some(later) if later.catalogue.revision > read.catalogue.revision => later.clone(),
            _ => {
                let read = Arc::new(read);
                known.insert(model, read.clone());
                read
            }
        }
    }

    /// Has the catalogue of a table read again, after a change.
    pub(super) fn forget(&self, table: &str) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).retain(|_, known| *known.table != *table);
    }
}

async fn known<M: TitoSchema>(database: &Database) -> Result<Arc<Known>> {
    let (catalogues, model) = (KnownCatalogues::of(database), TypeId::of::<M>());
    let now = database.clock().monotonic_millis();
    if let Some(known) = catalogues.load(model, now) {
        return Ok(known);
    }
    let (table, definitions) = (M::table(), M::index_definitions());
    // On the heap: every write can come here, and few do.
    let catalogue = Box::pin(change::ensure(database, &table, &definitions)).await?;
    let is_complete = catalogue.is_known_to(&definitions);
    let read = Known { table: table.into_owned(), catalogue, read_at_millis: now, is_complete };
    Ok(catalogues.store(model, read))
}

/// Checks that a model may write its table, and makes sure that nobody relies on an index that it does not know.
///
/// # Errors
/// [`TitoError::TableDropped`], and those of the engine.
pub(in crate::model) async fn check_write<M: TitoSchema>(tx: &Transaction) -> Result<()> {
    if tx.is_in_namespace() {
        return Ok(());
    }
    let database = tx.database();
    let known = known::<M>(database).await?;
    if known.catalogue.dropping {
        return Err(TitoError::TableDropped { table: known.table.clone() });
    }
    if !known.is_complete {
        Box::pin(fall_behind::<M>(database, &known.table)).await?;
    }
    Ok(())
}

/// Says that the indexes which a model does not know are behind, before it writes the first row without them.
async fn fall_behind<M: TitoSchema>(database: &Database, table: &str) -> Result<()> {
    let behind = change::fall_behind(database, table, &M::index_definitions()).await?;
    if behind.is_empty() {
        return Ok(());
    }
    tracing::warn!(table, indexes = ?behind, "this program writes rows without these indexes, which now lack entries");
    if database.is_only_writer() {
        return Ok(());
    }
    // Others go by what they have read for so long, and would answer from the index what it has no longer.
    wait_by_the_engines_time(database, database.timestamp().await?, CACHED.as_millis() as u64).await
}

/// Checks that a query can rely on an index.
///
/// # Errors
/// [`TitoError::IndexNotBuilt`], [`TitoError::TableDropped`], and those of the engine.
pub(in crate::model) async fn check_query<M: TitoSchema>(index: &str, tx: &Transaction) -> Result<()> {
    if tx.is_in_namespace() {
        return Ok(());
    }
    let known = known::<M>(tx.database()).await?;
    let definitions = M::index_definitions();
    let definition = definitions.iter().find(|definition| definition.name == index);
    let state = match (known.catalogue.indexes.get(index), definition) {
        _ if known.catalogue.dropping => "being deleted with its table",
        (Some(found), Some(definition)) if found.is(definition) => match found.state {
            IndexState::Built => return Ok(()),
            IndexState::Behind => "behind: a program that does not know it has written rows",
            IndexState::Building => "being built",
            IndexState::Dropping => "being deleted",
        },
        (Some(_), _) => "built by another definition",
        (None, _) => "new to the table",
    };
    Err(TitoError::IndexNotBuilt { table: known.table.clone(), index: index.to_string(), state })
}
