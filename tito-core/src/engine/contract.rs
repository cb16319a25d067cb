//! What an engine and its transactions do.

use std::any::Any;
use std::future;
use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;

use super::identity::DatabaseIdentity;
use super::limits::Limits;
use super::mutations::Mutations;
use super::packed::PackedRows;
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

/// How much history a transaction sees. It means something only to the engine that it came from, for as long as that is
/// open; a later transaction has the same or a greater one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SnapshotVersion(pub u64);

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
    /// Begins a transaction. `replayed` is the transaction of this engine whose commit was refused, if this is its
    /// replay: an engine with locks can hand them over, so that the replay does not queue for them again.
    fn begin<'a>(
        &'a self,
        replayed: Option<&'a dyn TitoTransaction>,
    ) -> BoxFuture<'a, Result<Box<dyn TitoTransaction>>>;

    /// The state at a new timestamp, kept for as long as the answer is held. It is not a transaction: nobody who waits
    /// for transactions to end waits for it, and [`oldest_live_start`](TitoEngine::oldest_live_start) ignores it.
    fn snapshot(&self) -> BoxFuture<'_, Result<Box<dyn TitoSnapshot>>>;

    /// A new timestamp, for ordering. For the time, see [`now`](TitoEngine::now).
    fn timestamp(&self) -> BoxFuture<'_, Result<Timestamp>>;

    /// The current time, which decides what is due everywhere in Tito: the same for all clients of the database, and
    /// never ahead of a timestamp requested afterwards. It passes steadily, like the [`clock`](TitoEngine::clock)'s
    /// monotonic time. If the engine ever sets it, it says so with [`Now::set_after`].
    fn now(&self) -> BoxFuture<'_, Result<Now>>;

    /// The clock that measures waits.
    fn clock(&self) -> &Arc<dyn Clock>;

    /// How large keys, values and transactions may be.
    fn limits(&self) -> &Limits;

    /// The maximum age of a transaction when it commits, in milliseconds. No commit lands further behind its start than
    /// this, which is what lets workers forget the past.
    fn max_transaction_age_millis(&self) -> u64;

    /// Whether only this process writes to the database, so that the signals of [`shared`](TitoEngine::shared) report
    /// every commit and nobody needs to poll for others'.
    fn is_only_writer(&self) -> bool {
        false
    }

    /// Whether what `commit` has reported as done survives the process; false if everything is in memory.
    fn is_durable(&self) -> bool {
        true
    }

    /// The start of the oldest transaction that can still commit, on engines that know it. A transaction whose commit
    /// was requested counts until the commit is answered, however old it has become and whether or not its caller still
    /// waits; one that has become too old to commit does not. Whoever waits for transactions to end relies on both.
    fn oldest_live_start(&self) -> Option<Timestamp> {
        None
    }

    /// The database's identity. `None` for an engine that keeps none.
    fn identity(&self) -> Option<&DatabaseIdentity> {
        None
    }

    /// The wrapped engine, if this one wraps another.
    fn wrapped(&self) -> Option<&dyn TitoEngine> {
        None
    }

    /// Closes the engine, and waits until what is under way has ended and the storage is released.
    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(future::ready(()))
    }

    /// Completes once the engine is closed, by its owner or by itself after a storage error, with the error that all
    /// calls fail with from then on. Whoever waits for something from the engine also waits for this. Can be cancelled
    /// and called again.
    ///
    /// Never completes on an engine that can't be closed.
    fn closed(&self) -> BoxFuture<'_, TitoError> {
        Box::pin(future::pending())
    }

    /// What this process keeps along with the engine. The engine creates it when it is opened, and passes the signals
    /// of its commits to it.
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

    /// How much history the transaction sees, for [`is_unchanged`](TitoTransaction::is_unchanged) of later ones. `None`
    /// from an engine that can't tell what has changed.
    fn version(&self) -> Option<SnapshotVersion> {
        None
    }

    /// Whether the engine knows, without a read of its storage, that a key has the value in the snapshot that it had in
    /// another transaction's, which had that version. `false` says nothing.
    fn is_unchanged(&self, key: &[u8], since: SnapshotVersion) -> bool {
        let _ = (key, since);
        false
    }

    /// Called before the transaction writes or locks these keys. An engine that waits for keys before the commit, or
    /// may refuse them, does so in the future that it returns; the caller may drop that unpolled if the write is
    /// refused. `None` means that there is nothing to wait for.
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

/// A state of the database that is kept for as long as this is. It sees what a transaction begun at its timestamp would
/// see: exactly the commits with timestamps below it.
///
/// Any call can fail with [`TitoError::Storage`] or [`TitoError::EngineClosed`], and with [`TitoError::SnapshotLost`]
/// if the underlying storage did not keep the state.
pub trait TitoSnapshot: Send + Sync {
    /// The point in history.
    fn timestamp(&self) -> Timestamp;

    /// The values of some keys, in their order.
    fn batch_get(&self, keys: Vec<Vec<u8>>) -> BoxFuture<'_, Result<Vec<Option<Vec<u8>>>>>;

    /// The first keys of a range in the order of `direction`: at most `limit`, and at most `bytes` bytes of keys and
    /// values, but at least one if there is one. Both bounds are above 0 and the range is not empty. A short page does
    /// not mean the end of the range; an empty one does.
    fn scan(
        &self,
        range: KeyRange,
        direction: Direction,
        limit: usize,
        bytes: usize,
    ) -> BoxFuture<'_, Result<Vec<KeyValue>>>;

    /// What an ascending [`scan`](TitoSnapshot::scan) returns, in one buffer: for those who read everything there is.
    fn scan_packed(&self, range: KeyRange, limit: usize, bytes: usize) -> BoxFuture<'_, Result<PackedRows>> {
        let page = self.scan(range, Direction::Ascending, limit, bytes);
        async move { Ok(page.await?.into_iter().collect()) }.boxed()
    }

    /// Releases the state. Dropping does that too, though later on some engines; this also says whether everything that
    /// was read can be relied on: [`TitoError::SnapshotLost`] if the state may have been lost in between.
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
