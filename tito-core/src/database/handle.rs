//! A handle to a database.

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;

use super::closure::TransactionResult;
use super::options::TxOptions;
use super::retry;
use super::transaction::Transaction;
use crate::clock::Clock;
use crate::engine::{DatabaseIdentity, Limits, ReadOnly, Shared, TitoEngine};
use crate::error::{Result, TitoError};
use crate::timestamp::{Now, Timestamp};

/// A database with transactions under snapshot isolation, on any engine. Clones share one database and are
/// cheap.
///
/// [`EmbeddedBackend::open`](crate::embedded::EmbeddedBackend::open), `TiKVBackend::connect` and [`Database::open`] make
/// one. What every database keeps:
/// - a transaction reads the state at its start timestamp, overlaid with its own writes;
/// - of two transactions that write or lock one key, the one that commits later fails with [`TitoError::Conflict`], and
///   nothing of it is visible;
/// - what [`commit`](Transaction::commit) has reported as done is durable;
/// - timestamps are unique and increase over the whole database, across restarts too.
#[derive(Clone)]
pub struct Database {
    engine: Arc<dyn TitoEngine>,
}

impl Database {
    /// Wraps your own engine in a database. Make one handle for an engine and clone it.
    pub fn from_engine(engine: impl TitoEngine) -> Self {
        Self { engine: Arc::new(engine) }
    }

    /// A read-only handle to the same database: a transaction that writes through it fails at commit with
    /// [`TitoError::ReadOnly`].
    pub fn read_only(&self) -> Self {
        Self::from_engine(ReadOnly(self.engine.clone()))
    }

    /// The underlying engine, for code that wraps it in its own.
    pub fn engine(&self) -> &Arc<dyn TitoEngine> {
        &self.engine
    }

    /// The underlying engine if it is of type `E`, for what only that engine can do. Engines that wrap another are
    /// looked through.
    ///
    /// ```
    /// # use tito_core::prelude::*;
    /// # async fn example(db: Database) -> Result<(), TitoError> {
    /// if let Some(embedded) = db.backend::<EmbeddedBackend>() {
    ///     println!("{:?}", embedded.sizes().await?);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn backend<T: TitoEngine>(&self) -> Option<&T> {
        let mut engine = &*self.engine;
        loop {
            match (engine as &dyn Any).downcast_ref() {
                Some(found) => return Some(found),
                None => engine = engine.wrapped()?,
            }
        }
    }

    /// Begins a transaction. Most callers want [`transaction`](Database::transaction), which also commits it and replays
    /// it after a conflict.
    ///
    /// # Errors
    /// [`TitoError::EngineClosed`], [`TitoError::Storage`]; on TiKV [`TitoError::Unavailable`].
    pub async fn begin(&self) -> Result<Transaction> {
        Ok(Transaction::new(self.clone(), self.engine.begin(None).await?))
    }

    /// Begins the replay of a transaction whose commit was refused. If the engine can, it hands over the locks that the
    /// refused one waited for, so that the replay does not queue for them again.
    ///
    /// # Errors
    /// Those of [`begin`](Database::begin).
    pub async fn begin_again(&self, refused: &Transaction) -> Result<Transaction> {
        Ok(Transaction::new(self.clone(), self.engine.begin(Some(refused.of_the_engine())).await?))
    }

    /// Runs `f` in a transaction and commits it. After a conflict `f` runs again in a new transaction, up to 32 times
    /// in all, so it should have no effects outside the transaction. It is cloned for each run. The handle that `f` is
    /// given can't be used once `f` has returned.
    ///
    /// Transactions of this process that have met conflicts on one key take turns, so that each runs about twice,
    /// however many there are. A run waits at most 30 s for its turn, and a turn lasts at most 2 s while others wait;
    /// after that the run goes ahead without one, since conflict detection keeps the data correct anyway. A transaction
    /// begun within `f`, by the same task, does not wait for turns while `f`'s transaction holds one. If a run meets a
    /// conflict in spite of its turn, for example with another process, it waits a random fraction of a delay that
    /// doubles up to 250 ms.
    ///
    /// The error type is [`TitoError`], so a closure may simply end in `Ok(…)`. To use your own error type, call
    /// [`transaction_with`](Database::transaction_with).
    ///
    /// ```
    /// # use tito_core::prelude::*;
    /// # async fn example(db: Database) -> Result<(), TitoError> {
    /// let visits: u64 = db
    ///     .transaction(|tx| async move {
    ///         let seen = tx.get(b"visits").await?;
    ///         let visits = seen.map_or(0, |value| value.len() as u64) + 1;
    ///         tx.put(b"visits".to_vec(), vec![b'|'; visits as usize]).await?;
    ///         Ok(visits)
    ///     })
    ///     .await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// What `f` returns (the transaction is rolled back); [`TitoError::RetriesExhausted`] after the last conflict;
    /// [`TitoError::AlreadyExists`] for an `insert` of a key that exists; [`TitoError::CommitUnknown`] when it is not
    /// known whether the commit took effect: that is never replayed.
    // Boxed, so that what is returned depends on nothing of the closure's: where the closure is wrong, the compiler says so
    // once, and not again of each place where the future is used.
    #[track_caller]
    pub fn transaction<'a, T, Error, F, Fut>(&'a self, f: F) -> BoxFuture<'a, Result<T, Error>>
    where
        F: FnOnce(Transaction) -> Fut + Clone + Send + 'a,
        Fut: Future<Output: TransactionResult<T, Error>> + Send + 'a,
        T: Send + 'a,
        Error: 'a,
    {
        let f = move |tx| async move { f(tx).await.into_result() };
        retry::run(self, Location::caller(), TxOptions::default(), f).map(Fut::Output::returned).boxed()
    }

    /// Like [`transaction`](Database::transaction), with options and with the caller's own error type: any that is
    /// `From<TitoError>`. The closure has to name it.
    ///
    /// ```
    /// # use tito_core::TxOptions;
    /// # use tito_core::prelude::*;
    /// #[derive(Debug)]
    /// enum TransferError {
    ///     NoMoney,
    ///     Database(TitoError),
    /// }
    ///
    /// impl From<TitoError> for TransferError {
    ///     fn from(error: TitoError) -> Self {
    ///         Self::Database(error)
    ///     }
    /// }
    ///
    /// # async fn example(db: Database) -> Result<(), TransferError> {
    /// db.transaction_with(TxOptions::default(), |tx| async move {
    ///     let balance = tx.get(b"balance").await?.ok_or(TransferError::NoMoney)?;
    ///     tx.put(b"balance".to_vec(), balance).await?;
    ///     Ok::<_, TransferError>(())
    /// })
    /// .await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Those of [`transaction`](Database::transaction); with an idempotency key also [`TitoError::AlreadyApplied`].
    #[track_caller]
    pub fn transaction_with<'a, T, Error, F, Fut>(&'a self, options: TxOptions, f: F) -> BoxFuture<'a, Result<T, Error>>
    where
        F: FnOnce(Transaction) -> Fut + Clone + Send + 'a,
        Fut: Future<Output = Result<T, Error>> + Send + 'a,
        T: Send + 'a,
        Error: From<TitoError> + Send + 'a,
    {
        retry::run(self, Location::caller(), options, f).boxed()
    }

    /// A new timestamp, for ordering. For the time, see [`now`](Database::now).
    ///
    /// # Errors
    /// Those of [`begin`](Database::begin).
    pub async fn timestamp(&self) -> Result<Timestamp> {
        self.engine.timestamp().await
    }

    /// The current time, which decides what is due. On TiKV it comes from PD.
    ///
    /// # Errors
    /// Those of [`begin`](Database::begin).
    pub async fn now(&self) -> Result<Now> {
        self.engine.now().await
    }

    /// The clock that measures waits.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        self.engine.clock()
    }

    /// How large keys, values and transactions may be.
    pub fn limits(&self) -> &Limits {
        self.engine.limits()
    }

    /// The maximum age of a transaction when it commits, in milliseconds.
    pub fn max_transaction_age_millis(&self) -> u64 {
        self.engine.max_transaction_age_millis()
    }

    /// Whether only this process writes to the database.
    pub fn is_only_writer(&self) -> bool {
        self.engine.is_only_writer()
    }

    /// Whether what a commit has reported as done survives the process: false for a database in memory.
    pub fn is_durable(&self) -> bool {
        self.engine.is_durable()
    }

    /// The start of the oldest transaction that can still commit, on engines that know it.
    pub fn oldest_live_start(&self) -> Option<Timestamp> {
        self.engine.oldest_live_start()
    }

    /// The database's identity. `None` on an engine that keeps none.
    pub fn identity(&self) -> Option<&DatabaseIdentity> {
        self.engine.identity()
    }

    /// Closes the database for all its handles, and waits until everything under way has ended and the storage is
    /// released, so that it can be opened again. Commits already requested are carried out; transactions still open can
    /// no longer be used, and later calls fail with [`TitoError::EngineClosed`].
    pub async fn close(&self) {
        self.engine.close().await;
    }

    /// Completes once the database is closed, by its owner or by itself after a storage error, with the error that all
    /// calls fail with from then on. Can be cancelled and called again. Never completes on an engine that can't be
    /// closed.
    pub async fn closed(&self) -> TitoError {
        self.engine.closed().await
    }

    /// What the parts of this process that use the database share.
    pub fn shared(&self) -> &Shared {
        self.engine.shared()
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Database").field("identity", &self.identity()).finish_non_exhaustive()
    }
}
