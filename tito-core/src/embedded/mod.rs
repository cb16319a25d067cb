//! The engine for one machine: transactions of Tito's own over a log and one file of `redb`.
//!
//! `redb` holds the bytes: a sorted map with cheap snapshots and one writer. What it lacks, many concurrent optimistic
//! transactions and cheap small commits, is here:
//!
//! | file | idea |
//! |---|---|
//! | `head` | the latest committed state, and which transactions look at what |
//! | `kept` | states that are kept for as long as somebody holds them |
//! | `oracle` | timestamps |
//! | `present` | what time it is |
//! | `recent` | which keys were committed lately |
//! | `committer` | the one thread that checks, groups and applies commits |
//! | `merge` | merges sorted sources, the newer ones hiding the older |
//! | `store`, `storage` | the storage below, as a narrow trait, and on redb with a log before it |
//! | `opening` | what may lie in a directory, and how a database gets there |

mod builder;
mod committer;
mod hash;
mod head;
mod kept;
mod merge;
mod opening;
mod oracle;
mod present;
mod recent;
mod storage;
mod store;
mod transaction;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::sync::{mpsc, oneshot, watch};

use self::committer::{Committer, Request};
use self::head::{Head, lock};
use self::kept::KeptSnapshot;
use self::opening::{DiskOptions, storage_failed};
use self::oracle::Oracle;
use self::present::Present;
use self::storage::{OnFlushed, Storage};
use self::store::Store;
use crate::clock::Clock;
use crate::database::Database;
use crate::engine::{DatabaseIdentity, Limits, Shared, TitoEngine, TitoSnapshot, TitoTransaction};
use crate::error::{Result, TitoError};
use crate::timestamp::{Now, Timestamp};

pub use self::builder::EmbeddedBuilder;
pub use self::opening::{SOCKET_FILE, SOCKET_PLACE_FILE};
pub use self::store::StoreSizes;
use self::transaction::EmbeddedTransaction;

/// The embedded engine: a database in a directory that one process owns, or in memory.
///
/// The storage is released some time after the last [`Database`] handle and the last transaction are gone;
/// [`close`](Database::close) waits for that, so that it can be opened again. Any number of concurrent transactions
/// share an fsync.
///
/// Reads of a database on disk run on tokio's blocking threads. A program that fills all of these (512 by default) with
/// tasks that wait for a transaction would wait for ever.
///
/// ```
/// use tito_core::prelude::*;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), TitoError> {
/// let db = EmbeddedBackend::in_memory().await?;
/// db.transaction(|tx| async move { tx.put(b"greeting".to_vec(), b"hello".to_vec()).await }).await?;
/// let greeting = db.transaction(|tx| async move { tx.get(b"greeting").await }).await?;
/// assert_eq!(greeting, Some(b"hello".to_vec()));
/// # Ok(())
/// # }
/// ```
pub struct EmbeddedBackend {
    core: Arc<Core>,
    requests: mpsc::Sender<Request>,
}

/// What transactions, handles and the committer share.
struct Core {
    head: Mutex<Head>,
    clock: Arc<dyn Clock>,
    limits: Limits,
    max_age_millis: u64,
    is_durable: bool,
    directory: Option<PathBuf>,
    identity: DatabaseIdentity,
    shared: Shared,
    closed: watch::Receiver<Option<String>>,
}

impl Core {
    /// Closes the engine after an error that it can't recover from.
    fn fail(&self, reason: String) {
        tracing::error!(reason, directory = ?self.directory, "closing the embedded engine");
        lock(&self.head).close(reason);
    }

    fn is_closed(&self) -> bool {
        self.closed.borrow().is_some()
    }

    /// Why a transaction that began at this time, by the monotonic clock, is too old.
    fn too_old(&self, began_millis: u64) -> TitoError {
        let age_millis = self.clock.monotonic_millis().saturating_sub(began_millis);
        TitoError::TransactionTooOld { age_millis, limit_millis: self.max_age_millis }
    }
}

impl EmbeddedBackend {
    /// Opens the database in a directory, which is created if it does not exist.
    ///
    /// # Errors
    /// [`TitoError::DatabaseInUse`] if another process or engine owns it; [`TitoError::InvalidDatabase`] if the
    /// directory holds something else, or a damaged database: nothing in it is changed then.
    pub async fn open(path: impl AsRef<Path>) -> Result<Database> {
        Self::builder().open(path).await
    }

    /// A new database in memory, gone with its last handle.
    ///
    /// # Errors
    /// [`TitoError::Storage`], if there is no memory or thread for it.
    pub async fn in_memory() -> Result<Database> {
        Self::builder().in_memory().await
    }

    /// Opens a database with other options than the defaults.
    pub fn builder() -> EmbeddedBuilder {
        EmbeddedBuilder::default()
    }

    /// Returns the unused space of a closed database to the file system. Rewrites much of the file, so it takes time in
    /// proportion to its size. Returns whether there was anything to give back.
    ///
    /// # Errors
    /// Those of [`open`](EmbeddedBackend::open).
    pub async fn compact(path: impl AsRef<Path>) -> Result<bool> {
        let path = path.as_ref().to_path_buf();
        blocking("compact", move || {
            let store = opening::open(&path, &DiskOptions::default(), Arc::new(|| {}))?;
            committer::guarded(|| store.compact()).map_err(|source| storage_failed("compact", source))
        })
        .await
    }

    /// How much space the database takes.
    ///
    /// # Errors
    /// [`TitoError::EngineClosed`], [`TitoError::Storage`].
    pub async fn sizes(&self) -> Result<StoreSizes> {
        self.ask(Request::Sizes).await?
    }

    /// The directory of the database, as an absolute path; none in memory.
    pub fn directory(&self) -> Option<&Path> {
        self.core.directory.as_deref()
    }

    async fn shut_down(&self) {
        let (reply, closed) = oneshot::channel();
        if self.requests.send(Request::Close(reply)).await.is_ok() {
            // An error means that the committer has ended, which is what this waits for.
            let _ = closed.await;
        }
        // The file is only released when the committer's thread has released it.
        self.requests.closed().await;
    }

    /// Starts an engine on the storage that `open` opens where it may block.
    async fn start(
        builder: EmbeddedBuilder,
        directory: Option<PathBuf>,
        open: impl FnOnce(OnFlushed) -> Result<Storage> + Send + 'static,
    ) -> Result<Self> {
        TitoError::without_runtime()?;
        blocking("open", move || {
            let (requests, waiting) = mpsc::channel(committer::QUEUE);
            let handle = mpsc::Sender::downgrade(&requests);
            // If the queue is full, the next commit looks for flushes anyway.
            let on_flushed = move || {
                if let Some(requests) = handle.upgrade() {
                    let _ = requests.try_send(Request::Maintain);
                }
            };
            let store = open(Arc::new(on_flushed))?;
            let snapshot = store.snapshot();
            let after = opening::timestamps_after(&builder.disk.purpose);
            let mut oracle = Oracle::resume(store.reserved().max(after));
            if !store.is_durable() {
                oracle.reserve(Timestamp::from_raw(u64::MAX));
            }
            let head = Head::new(snapshot.clone(), oracle, Present::of(&*builder.clock));
            let closed = head.watch_closed();
            let core = Arc::new(Core {
                head: Mutex::new(head),
                clock: builder.clock,
                limits: builder.limits,
                max_age_millis: builder.max_transaction_age.as_millis() as u64,
                is_durable: store.is_durable(),
                directory,
                identity: store.identity().clone(),
                shared: Shared::default(),
                closed,
            });
            let committer = Committer::new(core.clone(), Box::new(store), snapshot);
            std::thread::Builder::new()
                .name("tito-committer".to_string())
                .spawn(move || committer.run(waiting))
                .map_err(|error| storage_failed("open", error.into()))?;
            Ok(Self { core, requests })
        })
        .await
    }

    async fn ask<T>(&self, request: impl FnOnce(oneshot::Sender<T>) -> Request) -> Result<T> {
        let (reply, answer) = oneshot::channel();
        self.requests.send(request(reply)).await.map_err(|_| transaction::closed(&self.core))?;
        answer.await.map_err(|_| transaction::closed(&self.core))
    }

    /// Calls `f` with the head until it returns something, reserving timestamps in between.
    async fn with_timestamps<T>(&self, f: impl Fn(&mut Head, &dyn Clock) -> Option<T>) -> Result<T> {
        loop {
            {
                let mut head = lock(&self.core.head);
                head.check_open()?;
                if let Some(found) = f(&mut head, &*self.core.clock) {
                    return Ok(found);
                }
            }
            self.ask(Request::Reserve).await??;
        }
    }
}

impl TitoEngine for EmbeddedBackend {
    fn begin<'a>(
        &'a self,
        _replayed: Option<&'a dyn TitoTransaction>,
    ) -> BoxFuture<'a, Result<Box<dyn TitoTransaction>>> {
        async {
            let beginning = self.with_timestamps(Head::begin).await?;
            let transaction = EmbeddedTransaction::new(self.core.clone(), self.requests.clone(), beginning);
            Ok(Box::new(transaction) as Box<dyn TitoTransaction>)
        }
        .boxed()
    }

    fn snapshot(&self) -> BoxFuture<'_, Result<Box<dyn TitoSnapshot>>> {
        async {
            let (timestamp, slot) = self.with_timestamps(Head::keep).await?;
            Ok(Box::new(KeptSnapshot { core: self.core.clone(), timestamp, slot }) as Box<dyn TitoSnapshot>)
        }
        .boxed()
    }

    fn timestamp(&self) -> BoxFuture<'_, Result<Timestamp>> {
        let next = |head: &mut Head, clock: &dyn Clock| {
            let now = head.now(clock);
            head.oracle.next(now.millis())
        };
        self.with_timestamps(next).boxed()
    }

    fn now(&self) -> BoxFuture<'_, Result<Now>> {
        async {
            let mut head = lock(&self.core.head);
            head.check_open()?;
            Ok(head.now(&*self.core.clock))
        }
        .boxed()
    }

    fn clock(&self) -> &Arc<dyn Clock> {
        &self.core.clock
    }

    fn limits(&self) -> &Limits {
        &self.core.limits
    }

    fn max_transaction_age_millis(&self) -> u64 {
        self.core.max_age_millis
    }

    fn is_only_writer(&self) -> bool {
        true
    }

    fn is_durable(&self) -> bool {
        self.core.is_durable
    }

    fn oldest_live_start(&self) -> Option<Timestamp> {
        let (oldest, expired) = {
            let mut head = lock(&self.core.head);
            // Those that have become too old for a commit are nobody's concern.
            let expired = head.expire(self.core.clock.monotonic_millis(), self.core.max_age_millis);
            (head.oldest_live_start(), expired)
        };
        drop(expired);
        oldest
    }

    fn identity(&self) -> Option<&DatabaseIdentity> {
        Some(&self.core.identity)
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        self.shut_down().boxed()
    }

    fn closed(&self) -> BoxFuture<'_, TitoError> {
        async {
            let mut closed = self.core.closed.clone();
            // The sender is in the head, which lives as long as this handle.
            let reason = closed.wait_for(Option::is_some).await.ok().and_then(|reason| reason.clone());
            TitoError::EngineClosed { reason: reason.unwrap_or_else(|| "it was shut down".to_string()) }
        }
        .boxed()
    }

    fn shared(&self) -> &Shared {
        &self.core.shared
    }
}

impl fmt::Debug for EmbeddedBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EmbeddedBackend").field("directory", &self.core.directory).finish_non_exhaustive()
    }
}

/// Runs what blocks where it may.
async fn blocking<T: Send + 'static>(
    operation: &'static str,
    f: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let failed = |error: tokio::task::JoinError| TitoError::Storage { operation, source: error.into() };
    tokio::task::spawn_blocking(f).await.map_err(failed)?
}

#[cfg(test)]
mod tests;
