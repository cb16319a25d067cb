//! Transactions of the embedded engine.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::sync::{mpsc, oneshot};
use tokio::task::consume_budget;

use super::Core;
use super::committer::{CommitRequest, Request, guarded};
use super::hash::hash_key;
use super::head::{Beginning, Head, SnapshotSlot, lock};
use super::opening::storage_failed;
use super::store::{Snapshot, StoreResult};
use crate::engine::{Direction, KeyValue, Mutations, Signals, SnapshotVersion, TitoTransaction};
use crate::error::{Result, TitoError};
use crate::keys::KeyRange;
use crate::timestamp::{Now, Timestamp};

/// A transaction of the embedded engine.
pub(super) struct EmbeddedTransaction(Arc<Inner>);

pub(super) struct Inner {
    core: Arc<Core>,
    requests: mpsc::Sender<Request>,
    pub(super) start: Timestamp,
    now: Now,
    /// By the monotonic clock.
    pub(super) began_millis: u64,
    /// The last group that the transaction sees.
    pub(super) group: u64,
    slot: Arc<SnapshotSlot>,
    /// Whether the head knows that the transaction has ended.
    is_released: AtomicBool,
}

impl Inner {
    /// Releases the snapshot at once, as handles can outlive the transaction, which is no longer live then.
    pub(super) fn release(&self) {
        self.release_snapshot();
        if !self.is_released.swap(true, Ordering::AcqRel) {
            lock(&self.core.head).end(self.start);
        }
    }

    /// Like [`release`](Inner::release), of one whose commit has released its snapshot.
    pub(super) fn release_in(&self, head: &mut Head) {
        if !self.is_released.swap(true, Ordering::AcqRel) {
            head.end(self.start);
        }
    }

    fn release_snapshot(&self) {
        // Dropped without the lock: the last one of a snapshot frees memtables.
        let snapshot = lock(&self.slot).take();
        drop(snapshot);
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.release();
    }
}

/// Reads of up to this many keys from memory are not worth another thread.
const FEW_KEYS: usize = 256;

/// The keys of a small call are likely to be asked for again; many at once are mostly rows of events, which are read
/// once.
const FEW_TO_CACHE: usize = 4;

/// For how many entries a scan has room before it has to move them.
const ROOM_AT_FIRST: usize = 256;

impl EmbeddedTransaction {
    pub(super) fn new(core: Arc<Core>, requests: mpsc::Sender<Request>, beginning: Beginning) -> Self {
        let Beginning { start, now, began_millis, group, slot } = beginning;
        Self(Arc::new(Inner {
            core,
            requests,
            start,
            now,
            began_millis,
            group,
            slot,
            is_released: AtomicBool::new(false),
        }))
    }

    /// Reads from the snapshot where that does not block the runtime.
    async fn read<T: Send + 'static>(
        &self,
        operation: &'static str,
        keys: usize,
        f: impl FnOnce(&dyn Snapshot) -> StoreResult<T> + Send + 'static,
    ) -> Result<T> {
        read(&self.0.core, self.snapshot()?, operation, keys, f).await
    }

    fn snapshot(&self) -> Result<Arc<dyn Snapshot>> {
        lock(&self.0.slot).clone().ok_or_else(|| self.without_snapshot())
    }

    fn without_snapshot(&self) -> TitoError {
        let head = lock(&self.0.core.head);
        match head.check_open() {
            Err(closed) => closed,
            Ok(()) => self.0.core.too_old(self.0.began_millis),
        }
    }

    async fn commit(&self, mutations: Mutations, signals: Signals) -> Result<Timestamp> {
        if mutations.is_empty() {
            self.0.release();
            self.0.core.shared.deliver(signals, self.0.start);
            return Ok(self.0.start);
        }
        let Mutations { writes, locks, bytes } = mutations;
        let writes = writes.into_iter().map(|(key, mutation)| (hash_key(&key), key, mutation)).collect();
        let locks = locks.into_iter().map(|key| (hash_key(&key), key)).collect();
        let (reply, answer) = oneshot::channel();
        // From here on the request keeps the transaction live until it is answered, also if nobody waits for that.
        self.0.release_snapshot();
        let transaction = self.0.clone();
        let request = Request::Commit(CommitRequest { transaction, writes, locks, bytes, signals, reply });
        if self.0.requests.send(request).await.is_err() {
            return Err(closed(&self.0.core));
        }
        answer.await.unwrap_or_else(|_| {
            Err(TitoError::CommitUnknown { source: "the committer ended before it answered".into() })
        })
    }
}

/// The values of some keys of a snapshot. What was written lately is in memory, so it waits for no other thread.
pub(super) async fn get_all(
    core: &Core,
    snapshot: Arc<dyn Snapshot>,
    mut keys: Vec<Vec<u8>>,
) -> Result<Vec<Option<Vec<u8>>>> {
    let mut values = vec![None; keys.len()];
    let mut missing: Vec<usize> = (0..keys.len()).collect();
    if core.is_durable && keys.len() <= FEW_KEYS {
        missing.retain(|&at| match snapshot.get_from_memory(&keys[at]) {
            Some(value) => {
                values[at] = value;
                false
            }
            None => true,
        });
    }
    if missing.is_empty() {
        // A task that reads on and on lets others run.
        consume_budget().await;
        return Ok(values);
    }
    let keys: Vec<_> = missing.iter().map(|&at| std::mem::take(&mut keys[at])).collect();
    let find = move |snapshot: &dyn Snapshot| -> StoreResult<Vec<_>> {
        let get = if keys.len() <= FEW_TO_CACHE { Snapshot::get_and_cache } else { Snapshot::get };
        let mut found = Vec::with_capacity(keys.len());
        for key in &keys {
            found.push(get(snapshot, key)?);
        }
        Ok(found)
    };
    let found = read(core, snapshot, "batch_get", missing.len(), find).await?;
    for (at, value) in missing.into_iter().zip(found) {
        values[at] = value;
    }
    Ok(values)
}

/// Reads some keys of a snapshot where that does not block the runtime.
pub(super) async fn read<T: Send + 'static>(
    core: &Core,
    snapshot: Arc<dyn Snapshot>,
    operation: &'static str,
    keys: usize,
    f: impl FnOnce(&dyn Snapshot) -> StoreResult<T> + Send + 'static,
) -> Result<T> {
    let read = move || guarded(|| f(&*snapshot));
    let result = if core.is_durable || keys > FEW_KEYS {
        tokio::task::spawn_blocking(read).await.unwrap_or_else(|error| Err(error.into()))
    } else {
        read()
    };
    result.map_err(|source| storage_failed(operation, source))
}

impl TitoTransaction for EmbeddedTransaction {
    fn start_timestamp(&self) -> Timestamp {
        self.0.start
    }

    fn now(&self) -> Now {
        self.0.now
    }

    fn get<'a>(&'a self, key: &'a [u8]) -> BoxFuture<'a, Result<Option<Vec<u8>>>> {
        async move {
            let snapshot = self.snapshot()?;
            if self.0.core.is_durable
                && let Some(value) = snapshot.get_from_memory(key)
            {
                consume_budget().await;
                return Ok(value);
            }
            let key = key.to_vec();
            read(&self.0.core, snapshot, "get", 1, move |snapshot| snapshot.get_and_cache(&key)).await
        }
        .boxed()
    }

    fn batch_get(&self, keys: Vec<Vec<u8>>) -> BoxFuture<'_, Result<Vec<Option<Vec<u8>>>>> {
        async move { get_all(&self.0.core, self.snapshot()?, keys).await }.boxed()
    }

    fn scan(&self, range: KeyRange, direction: Direction, limit: usize) -> BoxFuture<'_, Result<Vec<KeyValue>>> {
        self.read("scan", limit, move |snapshot| {
            let mut entries = Vec::with_capacity(limit.min(ROOM_AT_FIRST));
            snapshot.visit(&range, direction, &mut |key, value| {
                entries.push((key.to_vec(), value.to_vec()));
                if entries.len() < limit { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            })?;
            Ok(entries)
        })
        .boxed()
    }

    fn version(&self) -> Option<SnapshotVersion> {
        lock(&self.0.slot).as_ref().map(|snapshot| SnapshotVersion(snapshot.version()))
    }

    fn is_unchanged(&self, key: &[u8], since: SnapshotVersion) -> bool {
        let snapshot = lock(&self.0.slot).clone();
        snapshot.is_some_and(|snapshot| snapshot.is_unchanged(key, since.0))
    }

    fn commit(&self, mutations: Mutations, signals: Signals) -> BoxFuture<'_, Result<Timestamp>> {
        self.commit(mutations, signals).boxed()
    }

    fn rollback(&self) -> BoxFuture<'_, ()> {
        async { self.0.release() }.boxed()
    }
}

pub(super) fn closed(core: &Core) -> TitoError {
    let reason = || TitoError::EngineClosed { reason: "it was shut down".to_string() };
    lock(&core.head).check_open().err().unwrap_or_else(reason)
}
