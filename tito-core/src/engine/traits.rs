//! The contract of an engine.

use std::future::Future;
use std::sync::Arc;

use super::context::EngineContext;
use super::limits::Limits;
use super::options::TxOptions;
use super::outbox::Outbox;
use super::retry;
use crate::clock::Clock;
use crate::error::{Result, TitoError};
use crate::keys::KeyRange;
use crate::model::{TitoModel, TitoSchema};
use crate::timestamp::Timestamp;

/// A key and its value.
pub type KeyValue = (Vec<u8>, Vec<u8>);

/// A database with transactions under snapshot isolation. Clones share one database and are cheap.
///
/// What every engine keeps:
/// - a transaction reads the state at its start timestamp, overlaid with its own writes;
/// - of two transactions that write or lock one key, the one that commits later fails with
///   [`TitoError::Conflict`], and nothing of it is visible;
/// - what `commit` has reported as done is durable;
/// - timestamps are unique and increasing over the whole database, also across restarts.
pub trait TitoEngine: Clone + Send + Sync + 'static {
    /// The engine's transactions.
    type Transaction: TitoTransaction;

    /// Begins a transaction. Most callers want [`transaction`](TitoEngine::transaction), which also commits it and
    /// replays it after a conflict.
    ///
    /// # Errors
    /// [`TitoError::EngineClosed`], [`TitoError::Storage`].
    fn begin(&self) -> impl Future<Output = Result<Self::Transaction>> + Send;

    /// Begins the transaction that is the replay of one whose commit was refused. An engine with locks can hand those of
    /// the refused one over, so that the replay does not queue up for them again.
    ///
    /// # Errors
    /// As [`begin`](TitoEngine::begin).
    fn begin_again(&self, refused: &Self::Transaction) -> impl Future<Output = Result<Self::Transaction>> + Send {
        let _ = refused;
        self.begin()
    }

    /// A new timestamp. Its physical part is what "now" means everywhere in Tito.
    ///
    /// # Errors
    /// [`TitoError::EngineClosed`], [`TitoError::Storage`].
    fn timestamp(&self) -> impl Future<Output = Result<Timestamp>> + Send;

    /// What waits are measured by.
    fn clock(&self) -> &Arc<dyn Clock>;

    /// How large keys, values and transactions may be.
    fn limits(&self) -> &Limits;

    /// How old, in milliseconds, a transaction may be when it commits. No commit lands further behind its start than
    /// this, which is what lets workers forget the past.
    fn max_transaction_age_millis(&self) -> u64;

    /// Whether only this process writes to the database, so that [`EngineContext::wakeups`] tells of every event and
    /// workers need not poll for those of others.
    fn is_only_writer(&self) -> bool {
        false
    }

    /// Whether what `commit` has reported as done survives the process; not where everything is in memory.
    fn is_durable(&self) -> bool {
        true
    }

    /// The start of the oldest transaction that can still commit, on engines that know it.
    fn oldest_live_start(&self) -> Option<Timestamp> {
        None
    }

    /// Completes once the engine is closed, be it that it was shut down or that it closed itself after an error, with the
    /// error that every call then gives: [`TitoError::EngineClosed`]. Whoever waits for something that only the engine
    /// can bring about waits for this too. Safe to cancel; never completes on an engine that does not know.
    fn closed(&self) -> impl Future<Output = TitoError> + Send {
        std::future::pending()
    }

    /// What the parts of this process share about the engine.
    fn context(&self) -> &EngineContext;

    /// Runs `f` in a transaction and commits it. After a conflict `f` is run again in a new transaction, after a
    /// backoff, up to 32 times; so it should have no effects outside of the transaction. It is cloned for each run.
    ///
    /// ```
    /// # use tito_core::prelude::*;
    /// # async fn example(db: impl TitoEngine) -> Result<(), TitoError> {
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
    /// [`TitoError::AlreadyExists`] for an `insert` of what exists; [`TitoError::CommitUnknown`] when it is not known
    /// whether the commit took effect, which is never replayed.
    fn transaction<T, F, Fut>(&self, f: F) -> impl Future<Output = Result<T>> + Send
    where
        F: FnOnce(Self::Transaction) -> Fut + Clone + Send,
        Fut: Future<Output = Result<T>> + Send,
        T: Send,
    {
        retry::run(self, TxOptions::default(), f)
    }

    /// As [`transaction`](TitoEngine::transaction), with options, and with an error type of the caller's own.
    ///
    /// # Errors
    /// As [`transaction`](TitoEngine::transaction); with an idempotency key also [`TitoError::AlreadyApplied`].
    fn transaction_with<T, Error, F, Fut>(
        &self,
        options: TxOptions,
        f: F,
    ) -> impl Future<Output = Result<T, Error>> + Send
    where
        F: FnOnce(Self::Transaction) -> Fut + Clone + Send,
        Fut: Future<Output = Result<T, Error>> + Send,
        T: Send,
        Error: From<TitoError> + Send,
    {
        retry::run(self, options, f)
    }

    /// The models of one type in this database.
    fn model<M: TitoSchema>(self) -> TitoModel<Self, M> {
        TitoModel::new(self)
    }
}

/// One transaction. Clones are handles of the same transaction; when the last one is dropped without a commit, it is
/// rolled back.
///
/// After [`commit`](TitoTransaction::commit) or [`rollback`](TitoTransaction::rollback) every call fails with
/// [`TitoError::TransactionEnded`]. Any call can fail with [`TitoError::Storage`] or [`TitoError::EngineClosed`], and
/// with [`TitoError::TransactionTooOld`] once the engine no longer keeps the transaction's snapshot.
pub trait TitoTransaction: Clone + Send + Sync + 'static {
    /// The point in history at which the transaction reads.
    fn start_timestamp(&self) -> Timestamp;

    /// The value of a key.
    fn get(&self, key: &[u8]) -> impl Future<Output = Result<Option<Vec<u8>>>> + Send;

    /// The values of many keys, in their order.
    fn batch_get(&self, keys: Vec<Vec<u8>>) -> impl Future<Output = Result<Vec<Option<Vec<u8>>>>> + Send;

    /// The first `limit` keys of a range, ascending.
    fn scan(&self, range: KeyRange, limit: usize) -> impl Future<Output = Result<Vec<KeyValue>>> + Send;

    /// The last `limit` keys of a range, descending.
    fn scan_reverse(&self, range: KeyRange, limit: usize) -> impl Future<Output = Result<Vec<KeyValue>>> + Send;

    /// Writes a key, whether it exists or not. Reads nothing.
    ///
    /// # Errors
    /// [`TitoError::LimitExceeded`].
    fn put(&self, key: Vec<u8>, value: Vec<u8>) -> impl Future<Output = Result<()>> + Send;

    /// Writes a key that must not exist. If it does, this call or the commit fails.
    ///
    /// # Errors
    /// [`TitoError::AlreadyExists`], [`TitoError::LimitExceeded`].
    fn insert(&self, key: Vec<u8>, value: Vec<u8>) -> impl Future<Output = Result<()>> + Send;

    /// Deletes a key, whether it exists or not. Reads nothing.
    ///
    /// # Errors
    /// [`TitoError::LimitExceeded`].
    fn delete(&self, key: Vec<u8>) -> impl Future<Output = Result<()>> + Send;

    /// Makes what was read of these keys count as written: of two transactions that lock or write one key, one fails
    /// with a conflict. This shuts out write skew, where two transactions each read what the other writes.
    ///
    /// # Errors
    /// [`TitoError::LimitExceeded`].
    fn lock_keys(&self, keys: Vec<Vec<u8>>) -> impl Future<Output = Result<()>> + Send;

    /// The conflict that a call of this transaction has met, if any: the transaction is then replayed even if its
    /// closure turned the error into one of its own. Engines that find conflicts at the commit only never have one.
    fn met_conflict(&self) -> Option<TitoError> {
        None
    }

    /// The events of this transaction. Engines deliver its announcements once the commit is done.
    fn outbox(&self) -> &Outbox;

    /// Commits, and returns the commit's timestamp. The commit is durable when this returns.
    ///
    /// A future that is dropped before it completes leaves the transaction either committed as a whole or not at all.
    ///
    /// # Errors
    /// [`TitoError::Conflict`], [`TitoError::AlreadyExists`], [`TitoError::TransactionTooOld`]: nothing was committed.
    /// [`TitoError::CommitUnknown`]: it may have been.
    fn commit(&self) -> impl Future<Output = Result<Timestamp>> + Send;

    /// Ends the transaction without effect. Does nothing if it has ended.
    fn rollback(&self) -> impl Future<Output = ()> + Send;
}
