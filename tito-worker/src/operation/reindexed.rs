//! A step of a reindexing: rows and entries of a table whose model the application has registered.

use std::marker::PhantomData;
use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use serde_json::Value;
use tito_core::model::{ReindexPlace, ReindexReport, TitoSchema};
use tito_core::{Database, Result, TitoError, Transaction};

use super::row::Progress;

/// A model, whatever its type.
pub(super) trait ReindexedModel: Send + Sync {
    fn table(&self) -> String;

    /// Whether it defines an index of this name.
    fn has(&self, index: &str) -> bool;

    fn begin<'a>(&'a self, database: &'a Database, index: &str) -> BoxFuture<'a, Result<ReindexPlace>>;

    fn step<'a>(
        &'a self,
        index: &str,
        place: &'a ReindexPlace,
        rows: usize,
        tx: &'a Transaction,
    ) -> BoxFuture<'a, Result<(ReindexReport, Option<ReindexPlace>)>>;

    fn finish<'a>(&'a self, database: &'a Database, index: &str) -> BoxFuture<'a, Result<()>>;
}

struct Of<M>(PhantomData<fn() -> M>);

/// A model as one that can be reindexed.
pub(super) fn of<M: TitoSchema>() -> Arc<dyn ReindexedModel> {
    Arc::new(Of::<M>(PhantomData))
}

impl<M: TitoSchema> ReindexedModel for Of<M> {
    fn table(&self) -> String {
        M::table().into_owned()
    }

    fn has(&self, index: &str) -> bool {
        M::index_definitions().iter().any(|definition| definition.name == index)
    }

    fn begin<'a>(&'a self, database: &'a Database, index: &str) -> BoxFuture<'a, Result<ReindexPlace>> {
        let reindex = database.model::<M>().reindex(index.to_string()).steps();
        async move { reindex.begin().await }.boxed()
    }

    fn step<'a>(
        &'a self,
        index: &str,
        place: &'a ReindexPlace,
        rows: usize,
        tx: &'a Transaction,
    ) -> BoxFuture<'a, Result<(ReindexReport, Option<ReindexPlace>)>> {
        let reindex = tx.database().model::<M>().reindex(index.to_string()).batch(rows).steps();
        async move { reindex.step(place, tx).await }.boxed()
    }

    fn finish<'a>(&'a self, database: &'a Database, index: &str) -> BoxFuture<'a, Result<()>> {
        let reindex = database.model::<M>().reindex(index.to_string()).steps();
        async move { reindex.finish().await }.boxed()
    }
}

/// Where it goes on, by what is stored.
pub(super) fn place_of(cursor: &Value) -> Result<ReindexPlace> {
    serde_json::from_value(cursor.clone()).map_err(TitoError::application)
}

/// Where it goes on, as it is stored.
pub(super) fn cursor_of(place: &ReindexPlace) -> Result<Value> {
    serde_json::to_value(place).map_err(TitoError::application)
}

/// What a batch has done, and where the next one goes on.
pub(super) fn progress(report: ReindexReport, next: Option<&ReindexPlace>) -> Result<Progress> {
    let ReindexReport { rows, added, removed, damaged } = report;
    Ok(Progress { done: added + removed, searched: rows, skipped: damaged, cursor: next.map(cursor_of).transpose()? })
}
