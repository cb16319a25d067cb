//! An engine whose rows are those of a projection.

use std::fmt;
use std::sync::Arc;

use tito_core::clock::Clock;
use tito_core::engine::{EngineContext, Limits};
use tito_core::keys;
use tito_core::row::StoredRow;
use tito_core::{Result, Timestamp, TitoEngine, TitoError, TitoTransaction};

use super::space::Space;
use super::state::Generations;
use super::transaction::{Access, ViewTransaction};
use crate::error::EventStoreError;
use crate::manager::Definition;
use crate::store::EventStore;

/// The database as a projection sees it: an engine whose rows and index entries are those of the projection, for models
/// to read. [`EventStore::view`] makes it; clones are the same view.
///
/// Each transaction sees one generation, all of it as of one sequence, also while the projection is rebuilt. Rows can't
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
/// # async fn example(bank: EventStore<EmbeddedBackend>) -> Result<(), TitoError> {
/// let view = bank.view("accounts");
/// let accounts = view.clone().model::<Account>();
/// let account = view.transaction(|tx| async move { accounts.get("17", &tx).await }).await?;
/// # Ok(())
/// # }
/// ```
pub struct View<E> {
    store: EventStore<E>,
    projection: Arc<str>,
}

impl<E: TitoEngine> EventStore<E> {
    /// A projection's rows, to be read. Nothing is looked up before a transaction begins.
    pub fn view(&self, projection: &str) -> View<E> {
        View { store: self.clone(), projection: projection.into() }
    }
}

impl<E: TitoEngine> View<E> {
    /// The view within a transaction of the database: reads of rows and of a projection's rows at one point in time.
    ///
    /// # Errors
    /// Those of [`begin`](TitoEngine::begin).
    pub async fn within(&self, tx: &E::Transaction) -> Result<ViewTransaction<E::Transaction>> {
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
        let space = Space::new(keys::log_view(id, &self.projection, live));
        Ok(ViewTransaction::new(tx.clone(), space, Access::Read))
    }

    async fn begun(&self, tx: E::Transaction) -> Result<ViewTransaction<E::Transaction>> {
        let view = self.within(&tx).await;
        if view.is_err() {
            tx.rollback().await;
        }
        view
    }
}

impl<E: TitoEngine> TitoEngine for View<E> {
    type Transaction = ViewTransaction<E::Transaction>;

    /// # Errors
    /// [`TitoError::Application`](tito_core::TitoError::Application) with [`EventStoreError::ProjectionNotFound`] or [`EventStoreError::StoreNotFound`],
    /// and those of the engine.
    async fn begin(&self) -> Result<Self::Transaction> {
        self.begun(self.store.engine().begin().await?).await
    }

    async fn begin_again(&self, refused: &Self::Transaction) -> Result<Self::Transaction> {
        self.begun(self.store.engine().begin_again(refused.inner()).await?).await
    }

    async fn timestamp(&self) -> Result<Timestamp> {
        self.store.engine().timestamp().await
    }

    fn clock(&self) -> &Arc<dyn Clock> {
        self.store.engine().clock()
    }

    fn limits(&self) -> &Limits {
        self.store.engine().limits()
    }

    fn max_transaction_age_millis(&self) -> u64 {
        self.store.engine().max_transaction_age_millis()
    }

    fn is_only_writer(&self) -> bool {
        self.store.engine().is_only_writer()
    }

    fn is_durable(&self) -> bool {
        self.store.engine().is_durable()
    }

    fn oldest_live_start(&self) -> Option<Timestamp> {
        self.store.engine().oldest_live_start()
    }

    async fn closed(&self) -> TitoError {
        self.store.engine().closed().await
    }

    fn context(&self) -> &EngineContext {
        self.store.engine().context()
    }
}

impl<E> Clone for View<E> {
    fn clone(&self) -> Self {
        Self { store: self.store.clone(), projection: self.projection.clone() }
    }
}

impl<E> fmt::Debug for View<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("View").field("store", &self.store).field("projection", &self.projection).finish()
    }
}
