//! How the catalogue of a table becomes another.

use super::known::KnownCatalogues;
use super::{Catalogue, CataloguedIndex, IndexState};
use crate::database::{Database, Transaction};
use crate::error::{Result, TitoError};
use crate::keys;
use crate::model::cursor::Cursor;
use crate::model::index::IndexDefinition;
use crate::names;

/// The catalogue of a table; of one without, made up of a model's indexes, which count as built.
pub(super) async fn ensure(database: &Database, table: &str, definitions: &[IndexDefinition]) -> Result<Catalogue> {
    names::check("table", table)?;
    let new = Catalogue::of(definitions);
    let (catalogue, had_rows) = database
        .transaction(|tx| async move {
            if let Some(stored) = Catalogue::read(&tx, table).await? {
                return Ok((stored, false));
            }
            let had_rows = !tx.scan(keys::rows(table), 1).await?.is_empty();
            new.put(&tx, table).await?;
            Ok((new, had_rows))
        })
        .await?;
    if had_rows {
        let indexes: Vec<_> = catalogue.indexes.keys().collect();
        tracing::info!(table, ?indexes, "the table had rows and no catalogue: the model's indexes count as built");
    }
    Ok(catalogue)
}

/// Changes the catalogue of a table in a transaction: `change` says whether it did. Returns what is stored afterwards.
pub(super) async fn change(
    database: &Database,
    table: &str,
    change: impl Fn(&mut Catalogue) -> Result<bool> + Clone + Send + Sync,
) -> Result<Catalogue> {
    let changed = database
        .transaction(|tx: Transaction| async move {
            let mut catalogue = Catalogue::read(&tx, table).await?.unwrap_or_default();
            if change(&mut catalogue)? {
                catalogue.revision += 1;
                catalogue.put(&tx, table).await?;
            }
            Ok(catalogue)
        })
        .await;
    KnownCatalogues::of(database).forget(table);
    changed
}

/// Marks the indexes that these definitions do not have as behind, and returns their names.
pub(super) async fn fall_behind(
    database: &Database,
    table: &str,
    definitions: &[IndexDefinition],
) -> Result<Vec<String>> {
    let unknown = |name: &str, index: &CataloguedIndex| {
        is_rested_on(index) && !definitions.iter().any(|definition| definition.name == name && index.is(definition))
    };
    let behind = std::sync::Mutex::new(Vec::new());
    let noted = &behind;
    change(database, table, move |catalogue| {
        let mut names = Vec::new();
        for (name, index) in &mut catalogue.indexes {
            if unknown(name, index) {
                index.state = IndexState::Behind;
                index.position = None;
                names.push(name.clone());
            }
        }
        let is_changed = !names.is_empty();
        *noted.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = names;
        Ok(is_changed)
    })
    .await?;
    Ok(behind.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner))
}

/// Says that an index is being built, unless it is built by this definition. Returns where a building that was cut off can
/// go on.
pub(in crate::model) async fn begin_building(
    database: &Database,
    table: &str,
    definition: &IndexDefinition,
) -> Result<Option<Cursor>> {
    let catalogue = change(database, table, |catalogue| {
        if catalogue.dropping {
            return Err(TitoError::TableDropped { table: table.to_string() });
        }
        match catalogue.indexes.get(&*definition.name) {
            Some(_) if catalogue.says_of(definition) => Ok(false),
            _ => {
                let building = CataloguedIndex::new(definition, IndexState::Building);
                catalogue.indexes.insert(definition.name.to_string(), building);
                Ok(true)
            }
        }
    })
    .await?;
    Ok(catalogue.indexes.get(&*definition.name).and_then(|index| index.position.clone()))
}

/// Says, in a transaction that builds an index, how far that has come. Of such a transaction and one that marks the index as
/// behind, or builds another under its name, one meets a conflict.
pub(in crate::model) async fn advance_building(
    tx: &Transaction,
    table: &str,
    definition: &IndexDefinition,
    position: Cursor,
) -> Result<()> {
    let mut catalogue = Catalogue::read(tx, table).await?.unwrap_or_default();
    let index = building(&mut catalogue, table, definition)?;
    if index.state == IndexState::Built {
        // A repair, which begins anew if it is cut off.
        return tx.lock_keys(vec![keys::catalogue(table)]).await;
    }
    index.position = Some(position);
    catalogue.put(tx, table).await
}

/// Says that an index is built.
pub(in crate::model) async fn finish_building(
    database: &Database,
    table: &str,
    definition: &IndexDefinition,
) -> Result<()> {
    change(database, table, |catalogue| {
        let index = building(catalogue, table, definition)?;
        let was_building = index.state == IndexState::Building;
        index.state = IndexState::Built;
        index.position = None;
        Ok(was_building)
    })
    .await
    .map(drop)
}

fn is_rested_on(index: &CataloguedIndex) -> bool {
    matches!(index.state, IndexState::Built | IndexState::Building)
}

/// The index that is being built, or repaired; an error if it has fallen behind, or somebody builds it by another
/// definition.
fn building<'a>(
    catalogue: &'a mut Catalogue,
    table: &str,
    definition: &IndexDefinition,
) -> Result<&'a mut CataloguedIndex> {
    let found = catalogue.indexes.get_mut(&*definition.name);
    found.filter(|index| index.is(definition) && is_rested_on(index)).ok_or_else(|| TitoError::IndexNotBuilt {
        table: table.to_string(),
        index: definition.name.to_string(),
        state: "behind again, as a program that does not know it wrote rows while it was being built",
    })
}
