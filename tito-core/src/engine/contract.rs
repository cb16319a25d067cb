//! What an engine and its transactions do.

use std::any::Any;
use std::future;
use std::sync::Arc;

use futures::future::BoxFuture;

use super::identity::DatabaseIdentity;
use super::limits::Limits;
use super::mutations::Mutations;
use super::shared::Shared;
use super::signals::Signals;
use crate::clock::Clock;
use crate::error::{Result, TitoError};
use crate::keys::KeyRange;
use crate::timestamp::{Now, Timestamp};

/// A key and its value.
pub type KeyValue = (Vec<u8>, Vec<u8>);

/// The order of a scan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the first key of the range on.
    Ascending,
    /// From the last key of the range back.
    Descending,
}

/// A store of sorted keys with transactions under snapshot isolation. [`Database::from_engine`] makes a database of it.
///
/// What every engine keeps:
/// - a transaction reads the state at its start timestamp;
/// - of two transactions that write or lock one key, the one that commits later fails with
///   [`TitoError::Conflict`], and nothing of it is visible;
/// - what `commit` has reported as done is durable;
/// - timestamps are unique and increasing over the whole database, also across restarts.
///
/// Any call can fail with [`TitoError::Storage`] or [`TitoError::EngineClosed`].
///
/// [`Database::from_engine`]: crate::Database::from_engine
pub trait TitoEngine: Any + Send + Sync {
    /// Begins a transaction. `replayed` is given for the replay of one whose commit was refused, a transaction of this
    /// engine: one with locks can hand those of the refused one over, so that the replay does not queue up for them again.
    fn begin<'a>(
        &'a self,
        replayed: Option<&'a dyn TitoTransaction>,
    ) -> BoxFuture<'a, Result<Box<dyn TitoTransaction>>>;

    /// The state at a new timestamp, kept for as long as the answer is held, however long that is. It is no transaction: it
    /// blocks nobody who waits for transactions to end, and [`oldest_live_start`](TitoEngine::oldest_live_start) does not
    /// know it.
    fn snapshot(&self) -> BoxFuture<'_, Result<Box<dyn TitoSnapshot>>>;

    /// A new timestamp. It orders; what time it is says [`now`](TitoEngine::now).
    fn timestamp(&self) -> BoxFuture<'_, Result<Timestamp>>;

    /// The present, by which things fall due in all of Tito: one for all clients of the database, and never ahead of a
    /// timestamp that is asked for afterwards. It passes steadily, as the [`clock`](TitoEngine::clock)'s monotonic time
    /// does. If the engine ever sets it, it says so with [`Now::set_after`].
    fn now(&self) -> BoxFuture<'_, Result<Now>>;

    /// What waits are measured by.
    fn clock(&self) -> &Arc<dyn Clock>;

    /// How large keys, values and transactions may be.
    fn limits(&self) -> &Limits;

    /// How old, in milliseconds, a transaction may be when it commits. No commit lands further behind its start than
    /// this, which is what lets workers forget the past.
    fn max_transaction_age_millis(&self) -> u64;

    /// Whether only this process writes to the database, so that the signals of [`shared`](TitoEngine::shared) tell of
    /// every commit and nobody need poll for those of others.
    fn is_only_writer(&self) -> bool {
        false
    }

    /// Whether what `commit` has reported as done survives the process; not where everything is in memory.
    fn is_durable(&self) -> bool {
        true
    }

    /// The start of the oldest transaction that can still commit, on engines that know it. One whose commit was asked for
    /// can until that was answered, however old it has become and whether or not its caller still waits; one that has
    /// become too old for a commit can't. Whoever waits for the end of transactions rests on both.
    fn oldest_live_start(&self) -> Option<Timestamp> {
        None
    }

    /// What the database says of itself. `None` for an engine that keeps no identity.
    fn identity(&self) -> Option<&DatabaseIdentity> {
        None
    }

    /// The engine below, of one that wraps another.
    fn wrapped(&self) -> Option<&dyn TitoEngine> {
        None
    }

    /// Closes the engine, and waits until what is under way has ended and the storage is released.
    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(future::ready(()))
    }

    /// Completes once the engine was closed, by its owner or by itself after an error of its storage, with the error that
    /// its calls fail with from then on. Whoever waits for something of the engine's waits for this beside it. Safe to
    /// cancel and to ask again.
    ///
    /// Never completes on an engine that can't be closed.
    fn closed(&self) -> BoxFuture<'_, TitoError> {
        Box::pin(future::pending())
    }

    /// What this process keeps beside the engine. The engine makes it when it is opened and hands the signals of its
    /// commits to it.
    fn shared(&self) -> &Shared;
}

/// One transaction of an engine: a snapshot, and a commit. Dropped without a commit, it is rolled back.
///
/// Any call can fail with [`TitoError::Storage`] or [`TitoError::EngineClosed`], and with
/// [`TitoError::TransactionTooOld`] once the engine no longer keeps the snapshot; one that fails with
/// [`TitoError::Conflict`] ends the transaction. Reads may run beside each other and beside the commit; what they return
/// once the transaction has ended is dropped.
pub trait TitoTransaction: Any + Send + Sync {
    /// The point in history at which the transaction reads.
    fn start_timestamp(&self) -> Timestamp;

    /// What the engine's [`now`](TitoEngine::now) was when the transaction began. Not after the start.
    fn now(&self) -> Now;

    /// The value of a key in the snapshot.
    fn get<'a>(&'a self, key: &'a [u8]) -> BoxFuture<'a, Result<Option<Vec<u8>>>>;

    /// The values of many keys in the snapshot, in their order.
    fn batch_get(&self, keys: Vec<Vec<u8>>) -> BoxFuture<'_, Result<Vec<Option<Vec<u8>>>>>;

    /// The first `limit` keys of a range of the snapshot in the order of `direction`; all of the range if there are fewer.
    /// `limit` is above 0 and the range not empty.
    fn scan(&self, range: KeyRange, direction: Direction, limit: usize) -> BoxFuture<'_, Result<Vec<KeyValue>>>;

    /// Called before the transaction writes or locks these keys. An engine that waits for keys, or may refuse them, before
    /// the commit does it in the future that it returns, which may be dropped unpolled where the write is refused; `None`
    /// says that there is nothing to wait for.
    fn claim<'a>(&'a self, keys: &'a [Vec<u8>], purpose: Claim) -> Option<BoxFuture<'a, Result<()>>> {
        let _ = (keys, purpose);
        None
    }

    /// Commits, and returns the commit's timestamp. The commit is durable when this returns, and `signals` were delivered
    /// to the engine's [`Shared`]. Without mutations nothing is written, and the answer is the start.
    ///
    /// A future that is dropped before it completes leaves the transaction either committed as a whole or not at all.
    ///
    /// # Errors
    /// [`TitoError::Conflict`], [`TitoError::AlreadyExists`], [`TitoError::TransactionTooOld`]: nothing was committed.
    /// [`TitoError::CommitUnknown`]: it may have been.
    fn commit(&self, mutations: Mutations, signals: Signals) -> BoxFuture<'_, Result<Timestamp>>;

    /// Ends the transaction without effect.
    fn rollback(&self) -> BoxFuture<'_, ()>;
}

/// A state of the database that is kept for as long as this is. It sees what a transaction would that had begun then:
/// exactly the commits with timestamps below its own.
///
/// Any call can fail with [`TitoError::Storage`] or [`TitoError::EngineClosed`], and with [`TitoError::SnapshotLost`] where
/// the storage below could not be held to the state.
pub trait TitoSnapshot: Send + Sync {
    /// The point in history.
    fn timestamp(&self) -> Timestamp;

    /// The values of some keys, in their order.
    fn batch_get(&self, keys: Vec<Vec<u8>>) -> BoxFuture<'_, Result<Vec<Option<Vec<u8>>>>>;

    /// The first keys of a range in the order of `direction`: at most `limit`, and no more than come to `bytes` bytes of
    /// keys and values, but one at least, if there is one. Both bounds are above 0 and the range not empty. What was cut
    /// short by the bytes can't be told from the end: that is where nothing is found.
    fn scan(
        &self,
        range: KeyRange,
        direction: Direction,
        limit: usize,
        bytes: usize,
    ) -> BoxFuture<'_, Result<Vec<KeyValue>>>;

    /// Releases the state. Dropping does that too, if later on some engines; this also says whether everything that was
    /// read can be relied on: [`TitoError::SnapshotLost`] where the state may have been lost in between.
    fn release(self: Box<Self>) -> BoxFuture<'static, Result<()>>;
}

/// What keys are claimed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// To be written, whether they exist or not.
    Put,
    /// To be written where they must not exist.
    Insert,
    /// To be deleted.
    Delete,
    /// To count as written.
    Lock,
}
