//! Brings tables up to date with the models of a program.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use futures::future::{BoxFuture, FutureExt};

use super::drop_table::delete_range;
use super::{Catalogue, IndexState, change};
use crate::database::Database;
use crate::error::{Result, TitoError};
use crate::event::settle_topics;
use crate::keys;
use crate::model::index::IndexDefinition;
use crate::model::reindex::{ReindexProgress, ReindexReport};
use crate::model::schema::TitoSchema;

/// How far a migration has got, after each of its transactions that go over rows or entries.
#[derive(Clone, Debug)]
pub struct MigrationProgress {
    /// The table.
    pub table: String,
    /// The index that is being built.
    pub index: String,
    /// The progress of building it.
    pub building: ReindexProgress,
}

/// What a migration has done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MigrationReport {
    /// The indexes that were built, by table and name.
    pub built: Vec<(String, String)>,
    /// The indexes that were deleted because no model has them, by table and name.
    pub dropped: Vec<(String, String)>,
    /// Rows that could not be read while indexes were built: see [`TitoTable::check`](crate::model::TitoTable::check).
    pub damaged: u64,
}

/// A migration, to be [run](Migration::run). See [`Database::migrate`].
#[must_use = "nothing is done before it is run"]
pub struct Migration {
    database: Database,
    models: Vec<Box<dyn Migrated>>,
    batch: usize,
    on_progress: Box<dyn FnMut(&MigrationProgress) + Send>,
}

impl fmt::Debug for Migration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tables: Vec<_> = self.models.iter().map(|model| model.table()).collect();
        f.debug_struct("Migration").field("tables", &tables).field("batch", &self.batch).finish_non_exhaustive()
    }
}

/// A model, whatever its type.
trait Migrated: Send + Sync {
    fn table(&self) -> Cow<'static, str>;
    fn definitions(&self) -> Vec<IndexDefinition>;
    fn build<'a>(
        &'a self,
        database: &'a Database,
        index: String,
        batch: usize,
        on_progress: &'a mut (dyn FnMut(&ReindexProgress) + Send),
    ) -> BoxFuture<'a, Result<ReindexReport>>;
}

struct Of<M>(PhantomData<fn() -> M>);

impl<M: TitoSchema> Migrated for Of<M> {
    fn table(&self) -> Cow<'static, str> {
        M::table()
    }

    fn definitions(&self) -> Vec<IndexDefinition> {
        M::index_definitions()
    }

    fn build<'a>(
        &'a self,
        database: &'a Database,
        index: String,
        batch: usize,
        on_progress: &'a mut (dyn FnMut(&ReindexProgress) + Send),
    ) -> BoxFuture<'a, Result<ReindexReport>> {
        database.model::<M>().reindex(index).batch(batch).build(on_progress).boxed()
    }
}

impl Database {
    /// Brings the tables of a program's models up to date: builds the indexes that are new, were changed, or have
    /// fallen behind, and deletes those that no model has any more. Until an index is up to date, queries over it fail
    /// with [`TitoError::IndexNotBuilt`].
    ///
    /// Name all models of the program, including those that share a table. Run it when the program is deployed, before
    /// or while it serves: the tables stay in use. It waits until all processes know what is being built, on TiKV some
    /// 35 s, then goes over rows and entries in bounded transactions, and remembers its progress: after a failure or a
    /// crash, run it again to continue. Several may run at once.
    ///
    /// A program of the previous release that still writes marks an index that it does not know as behind, and the
    /// migration fails with [`TitoError::IndexNotBuilt`]: run it once more when the last of them is gone. A release
    /// from before catalogues marks nothing, so no such program may write any more.
    ///
    /// ```
    /// # use tito_core::prelude::*;
    /// # use tito_core::model::TitoSchema;
    /// # async fn example<User: TitoSchema, Order: TitoSchema>(db: Database) -> Result<(), TitoError> {
    /// let report = db
    ///     .migrate()
    ///     .model::<User>()
    ///     .model::<Order>()
    ///     .on_progress(|progress| println!("{} {}: {:?}", progress.table, progress.index, progress.building.done))
    ///     .run()
    ///     .await?;
    /// println!("{} indexes built, {} deleted", report.built.len(), report.dropped.len());
    /// # Ok(())
    /// # }
    /// ```
    pub fn migrate(&self) -> Migration {
        let on_progress = Box::new(|_: &MigrationProgress| ());
        Migration { database: self.clone(), models: Vec::new(), batch: 200, on_progress }
    }
}

impl Migration {
    /// One of the program's models.
    pub fn model<M: TitoSchema>(mut self) -> Self {
        self.models.push(Box::new(Of::<M>(PhantomData)));
        self
    }

    /// How many rows or entries one transaction goes over; at least 1. Default 200.
    pub fn batch(mut self, rows: usize) -> Self {
        self.batch = rows.max(1);
        self
    }

    /// Calls `f` after each transaction over rows or entries.
    pub fn on_progress(mut self, f: impl FnMut(&MigrationProgress) + Send + 'static) -> Self {
        self.on_progress = Box::new(f);
        self
    }

    /// Runs it, and returns what it has done.
    ///
    /// # Errors
    /// [`TitoError::InvalidIndex`] if two models define an index of one table differently, before anything is done;
    /// [`TitoError::IndexNotBuilt`] if a program that does not know an index wrote rows meanwhile;
    /// [`TitoError::DuplicateRows`] if an index is unique and two rows have one value; [`TitoError::TableDropped`];
    /// those of the engine. What was done by then stays done. A table that can't be brought up to date does not block
    /// the others: the first error is returned at the end.
    pub async fn run(mut self) -> Result<MigrationReport> {
        let mut tables: Vec<Cow<'static, str>> = self.models.iter().map(|model| model.table()).collect();
        tables.sort();
        tables.dedup();
        for table in &tables {
            self.check_definitions(table)?;
        }
        let mut report = MigrationReport::default();
        let mut outcome = Ok(());
        for table in &tables {
            let done = self.table(table, &mut report).await;
            if done.as_ref().is_err_and(TitoError::is_engine_failure) {
                return outcome.and(done).map(|()| report);
            }
            outcome = outcome.and(done);
        }
        outcome.map(|()| report)
    }

    fn check_definitions(&self, table: &str) -> Result<()> {
        let mut seen: Vec<IndexDefinition> = Vec::new();
        let models = self.models.iter().filter(|model| model.table() == table);
        for definition in models.flat_map(|model| model.definitions()) {
            match seen.iter().find(|other| other.name == definition.name) {
                Some(other) if *other != definition => {
                    let (table, index) = (table.to_string(), definition.name.into_owned());
                    return Err(TitoError::InvalidIndex { table, index, reason: "two models define it differently" });
                }
                Some(_) => {}
                None => seen.push(definition),
            }
        }
        Ok(())
    }

    async fn table(&mut self, table: &str, report: &mut MigrationReport) -> Result<()> {
        let models: Vec<_> = self.models.iter().filter(|model| model.table() == table).collect();
        let definitions: Vec<_> = models.iter().flat_map(|model| model.definitions()).collect();
        let catalogue = change::ensure(&self.database, table, &definitions).await?;
        let is_built = |definition: &IndexDefinition| {
            let found = catalogue.indexes.get(&*definition.name);
            found.is_some_and(|index| index.is(definition) && index.state == IndexState::Built)
        };
        let stale: Vec<_> = definitions.iter().filter(|definition| !is_built(definition)).collect();
        let has = |name: &str| definitions.iter().any(|definition| definition.name == name);
        let gone: Vec<_> = catalogue.indexes.keys().filter(|name| !has(name)).cloned().collect();
        if stale.is_empty() && gone.is_empty() {
            return Ok(());
        }
        tracing::info!(table, build = ?stale, drop = ?gone, "indexes are brought up to date");
        for definition in &stale {
            change::begin_building(&self.database, table, definition).await?;
        }
        begin_dropping(&self.database, table, &gone).await?;
        // After it nobody commits a row without knowing, or marks the index as behind.
        settle_topics(&self.database).await?;
        let mut done: Vec<&str> = Vec::new();
        for model in &models {
            for definition in model.definitions() {
                let Some(stale) = stale.iter().find(|stale| stale.name == definition.name) else { continue };
                if done.contains(&&*stale.name) {
                    continue;
                }
                done.push(&stale.name);
                let (index, on_progress) = (definition.name.to_string(), &mut self.on_progress);
                let mut tell = |building: &ReindexProgress| {
                    let (table, index) = (table.to_string(), index.clone());
                    on_progress(&MigrationProgress { table, index, building: building.clone() });
                };
                let built = model.build(&self.database, index.clone(), self.batch, &mut tell).await?;
                report.damaged += built.damaged;
                report.built.push((table.to_string(), index));
            }
        }
        for index in gone {
            let is_dropping = |catalogue: &Catalogue| {
                catalogue.indexes.get(&index).is_some_and(|found| found.state == IndexState::Dropping)
            };
            delete_range(&self.database, table, keys::index_entries(table, &index), is_dropping).await?;
            change::change(&self.database, table, |catalogue| {
                Ok(is_dropping(catalogue) && catalogue.indexes.remove(&index).is_some())
            })
            .await?;
            report.dropped.push((table.to_string(), index));
        }
        Ok(())
    }
}

async fn begin_dropping(database: &Database, table: &str, gone: &[String]) -> Result<()> {
    change::change(database, table, |catalogue| {
        let mut is_changed = false;
        for (_, index) in catalogue.indexes.iter_mut().filter(|(name, _)| gone.contains(name)) {
            is_changed |= index.state != IndexState::Dropping;
            index.state = IndexState::Dropping;
        }
        Ok(is_changed)
    })
    .await
    .map(drop)
}
