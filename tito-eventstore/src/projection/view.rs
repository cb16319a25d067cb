//! The rows of a projection, for reading.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use tito_core::database::{Namespace, RowAccess, TransactionResult};
use tito_core::model::{TitoSchema, TitoTable};
use tito_core::row::StoredRow;
use tito_core::{Result, TitoError, Transaction, TxOptions};

use super::state::Generations;
use crate::error::EventStoreError;
use crate::keys;
use crate::log::Definition;
use crate::store::EventStore;

/// What errors say of a projection's rows.
pub(super) const OWNER: &str = "a projection's: its projector alone writes it";

/// The database as a projection sees it: its transactions find the projection's rows and index entries, for models to
/// read. [`EventStore::view`] makes it; clones are the same view.
///
/// Each transaction sees one generation, all of it as of one sequence, even while the projection is rebuilt. Rows can't
/// be written through it.
///
/// ```
/// # use serde::{Deserialize, Serialize};
/// use tito_core::prelude::*;
/// use tito_eventstore::EventStore;
///
/// # #[derive(Clone, Serialize, Deserialize, TitoModel)]
/// # struct Account {
/// #     id: String,
/// # }
/// # async fn example(bank: EventStore) -> Result<(), TitoError> {
/// let view = bank.view("accounts");
/// let accounts = view.model::<Account>();
/// let account = view.transaction(|tx| async move { accounts.get("17", &tx).await }).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct View {
    store: EventStore,
    projection: Arc<str>,
}

impl EventStore {
    /// A projection's rows, for reading. Nothing is looked up before a transaction begins.
    pub fn view(&self, projection: &str) -> View {
        View { store: self.clone(), projection: projection.into() }
    }
}

impl View {
    /// The rows of a model that the projector writes. The transaction decides which rows are read: a transaction of
    /// this view reads the projection's, one of the database the application's. They can't be reindexed: rebuild the
    /// projection instead.
    pub fn model<M: TitoSchema>(&self) -> TitoTable<M> {
        self.store.database().model().of_a_view()
    }

    /// Begins a transaction that sees the projection's rows.
    ///
    /// # Errors
    /// [`TitoError::Application`] with [`EventStoreError::ProjectionNotFound`] or [`EventStoreError::StoreNotFound`], and
    /// those of the engine.
    pub async fn begin(&self) -> Result<Transaction> {
        self.within(&self.store.database().begin().await?).await
    }

    /// Runs `f` in a transaction that sees the projection's rows, as
    /// [`Database::transaction`](tito_core::Database::transaction) does.
    ///
    /// # Errors
    /// Those of [`begin`](View::begin), and what `f` returns.
    pub fn transaction<'a, T, Error, F, Fut>(&'a self, f: F) -> BoxFuture<'a, Result<T, Error>>
    where
        F: FnOnce(Transaction) -> Fut + Clone + Send + 'a,
        Fut: Future<Output: TransactionResult<T, Error>> + Send + 'a,
        T: Send + 'a,
        Error: 'a,
    {
        let f = move |tx| async move { f(tx).await.into_result() };
        self.transaction_with(TxOptions::default(), f).map(Fut::Output::returned).boxed()
    }

    /// Like [`transaction`](View::transaction), with options, and with an error type of the caller's own.
    ///
    /// # Errors
    /// Those of [`transaction`](View::transaction).
    pub fn transaction_with<'a, T, Error, F, Fut>(&'a self, options: TxOptions, f: F) -> BoxFuture<'a, Result<T, Error>>
    where
        F: FnOnce(Transaction) -> Fut + Clone + Send + 'a,
        Fut: Future<Output = Result<T, Error>> + Send + 'a,
        T: Send + 'a,
        Error: From<TitoError> + Send + 'a,
    {
        self.store.database().transaction_with(options, move |tx| async move { f(self.within(&tx).await?).await })
    }

    /// A transaction of the database as one that sees the projection's rows: reads both kinds of rows at one point in
    /// time.
    ///
    /// # Errors
    /// Those of [`begin`](View::begin).
    pub async fn within(&self, tx: &Transaction) -> Result<Transaction> {
        let (name, id) = (self.store.name(), self.store.id());
        let keys = vec![keys::event_store(name), keys::log_projection(id, &self.projection)];
        let mut values = tx.batch_get(keys.clone()).await?.into_iter();
        let store_not_found = || EventStoreError::StoreNotFound { name: name.to_string() };
        let definition = values.next().flatten().ok_or_else(store_not_found)?;
        if Definition::decode(&keys[0], &definition)?.id != id {
            return Err(store_not_found().into());
        }
        let generations = values.next().flatten().map(|value| Generations::decode(&keys[1], &value)).transpose()?;
        let live = generations.and_then(|generations| generations.live);
        let live = live.ok_or_else(|| EventStoreError::ProjectionNotFound {
            store: name.to_string(),
            projection: self.projection.to_string(),
        })?;
        let namespace = Namespace::new(keys::log_view(id, &self.projection, live), RowAccess::Read, OWNER);
        Ok(tx.in_namespace(Arc::new(namespace)))
    }
}

impl fmt::Debug for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("View").field("store", &self.store).field("projection", &self.projection).finish()
    }
}
