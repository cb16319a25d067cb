//! A store, as programs hold it.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use tito_core::{Database, TitoError, Transaction, TxOptions};

use crate::append::{Append, GroupCommit, append_in, prepare};
use crate::error::Result;
use crate::event::NewEvent;
use crate::log::Log;
use crate::logger::Logger;
use crate::types::Registry;

/// Of the signals of a store's channel, those that something was erased.
pub(crate) const ERASED: u16 = 1;

/// An append-only store of events, each with the next sequence from 1 on, without gaps, in the order of the commits.
/// Clones are the same store. [`Manager`](crate::Manager) creates and gets them.
#[derive(Clone)]
pub struct EventStore {
    log: Log,
    group: Arc<GroupCommit>,
}

impl EventStore {
    pub(crate) fn new(log: Log, group: Arc<GroupCommit>) -> Self {
        Self { log, group }
    }

    /// The store's name.
    pub fn name(&self) -> &str {
        self.log.name()
    }

    /// The database.
    pub fn database(&self) -> &Database {
        self.log.database()
    }

    /// Appends one event or several, all or none, and returns their last sequence. When it returns, they are durable.
    /// Appends of one process share transactions, so many at once cost little more than one.
    ///
    /// Expectations are compared with what was stored before the append. An event whose id the store already has is
    /// skipped and expects nothing; its sequence counts for the result. So an append whose outcome is not known, for
    /// example because its future was dropped, can be repeated with the same ids.
    ///
    /// The runtime of the first waiting append serves all of them until none is left. If that runtime is neither driven
    /// nor dropped, the others wait.
    ///
    /// ```
    /// # use tito_core::prelude::*;
    /// use tito_eventstore::{EventStore, EventStoreError, NewEvent};
    ///
    /// # async fn example(bank: EventStore) -> Result<(), EventStoreError> {
    /// let opened = NewEvent::raw("account.17", "opened", "ada").expect_sequence(0);
    /// let sequence = bank.append(opened).await?;
    /// let paid = NewEvent::raw("account.17", "deposited", "100").expect_sequence(sequence);
    /// bank.append([paid, NewEvent::raw("audit.2026", "noted", "17 paid")]).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`EventStoreError::SequenceConflict`](crate::EventStoreError::SequenceConflict),
    /// [`NoEvents`](crate::EventStoreError::NoEvents), those about entities, event types, ids and data,
    /// [`StoreNotFound`](crate::EventStoreError::StoreNotFound), and those of the engine, among them
    /// [`LimitExceeded`](tito_core::TitoError::LimitExceeded) and
    /// [`CommitUnknown`](tito_core::TitoError::CommitUnknown), which here means that the outcome could not be found out
    /// either.
    pub async fn append(&self, events: impl Into<Vec<NewEvent>>) -> Result<u64> {
        let append = Append { events: prepare(&self.log, events.into())?, command: None };
        Ok(self.group.append(&self.log, append).await?.0.last())
    }

    /// Appends in a transaction of the caller's: rows, other stores and outbox events that it writes commit with it.
    /// The transaction then conflicts with every other append to the store.
    ///
    /// ```
    /// # use tito_core::prelude::*;
    /// use tito_eventstore::{EventStore, NewEvent};
    ///
    /// # async fn example(db: Database, bank: EventStore) -> Result<(), TitoError> {
    /// db.transaction(|tx| async move {
    ///     tx.put(b"opened".to_vec(), b"17".to_vec()).await?;
    ///     Ok(bank.append_in(&tx, NewEvent::raw("account.17", "opened", "ada")).await?)
    /// })
    /// .await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Those of [`append`](EventStore::append). After an error the transaction should be rolled back.
    pub async fn append_in(&self, tx: &Transaction, events: impl Into<Vec<NewEvent>>) -> Result<u64> {
        let append = Append { events: prepare(&self.log, events.into())?, command: None };
        Ok(append_in(&self.log, tx, append).await?.last())
    }
}

impl EventStore {
    /// Like [`Database::transaction_with`], but runs while no append of this process to this store is being committed.
    /// Otherwise a transaction that appends to a busy store with [`append_in`](EventStore::append_in) would lose its
    /// first run, as appends follow one another without a pause.
    ///
    /// Within it, [`append`](EventStore::append) to the same store waits until the transaction is too old to commit: use
    /// `append_in`.
    ///
    /// # Errors
    /// What `f` returns, and as [`Database::transaction_with`].
    pub fn transaction<'a, T, Error, F, Fut>(&'a self, f: F) -> BoxFuture<'a, Result<T, Error>>
    where
        F: FnOnce(Transaction) -> Fut + Clone + Send + 'a,
        Fut: Future<Output = Result<T, Error>> + Send + 'a,
        T: Send + 'a,
        Error: From<TitoError> + Send + 'a,
    {
        async move {
            let _turn = self.group.turn(self.database()).await;
            self.database().transaction_with(TxOptions::default(), f).await
        }
        .boxed()
    }
}

impl EventStore {
    pub(crate) fn log(&self) -> &Log {
        &self.log
    }

    pub(crate) fn group(&self) -> &Arc<GroupCommit> {
        &self.group
    }

    pub(crate) fn id(&self) -> u64 {
        self.log.id()
    }

    pub(crate) fn channel(&self) -> &Arc<str> {
        self.log.channel()
    }

    pub(crate) fn types(&self) -> Option<&Registry> {
        self.log.types()
    }

    pub(crate) fn logger(&self) -> &Logger {
        self.log.logger()
    }
}

impl fmt::Debug for EventStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventStore").field("name", &self.name()).finish_non_exhaustive()
    }
}
