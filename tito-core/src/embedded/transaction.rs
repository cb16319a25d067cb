//! Transactions of the embedded engine.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use tokio::sync::{mpsc, oneshot};

use super::committer::{CommitRequest, Request, guarded};
use super::hash::hash_key;
use super::head::{Beginning, Head, SnapshotSlot, lock};
use super::opening::storage_failed;
use super::scan::merged_scan;
use super::store::{Direction, Snapshot, StoreResult};
use super::{Core, too_old};
use crate::engine::write_buffer::WriteBuffer;
use crate::engine::{KeyValue, Outbox, TitoTransaction};
use crate::error::{Result, TitoError};
use crate::keys::KeyRange;
use crate::timestamp::Timestamp;

/// A transaction of the embedded engine.
#[derive(Clone)]
pub struct EmbeddedTransaction(Arc<Inner>);

pub(super) struct Inner {
    core: Arc<Core>,
    requests: mpsc::Sender<Request>,
    pub(super) start: Timestamp,
    /// The last group that the transaction sees.
    pub(super) group: u64,
    slot: Arc<SnapshotSlot>,
    /// `None` once the transaction has ended.
    buffer: Mutex<Option<WriteBuffer>>,
    /// Whether the head knows that the transaction has ended.
    is_released: AtomicBool,
    outbox: Outbox,
}

impl Inner {
    /// Lets go of the snapshot at once, as handles of the transaction can outlive it, and is no longer live.
    pub(super) fn release(&self) {
        self.release_snapshot();
        if !self.is_released.swap(true, Ordering::AcqRel) {
            lock(&self.core.head).end(self.start);
        }
    }

    /// As [`release`](Inner::release), of one whose commit has let go of its snapshot.
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

/// Reads of at most this many keys from memory are not worth another thread.
const FEW_KEYS: usize = 256;

impl EmbeddedTransaction {
    pub(super) fn new(core: Arc<Core>, requests: mpsc::Sender<Request>, beginning: Beginning) -> Self {
        let Beginning { start, group, slot } = beginning;
        let (buffer, is_released) = (Mutex::new(Some(WriteBuffer::default())), AtomicBool::new(false));
        Self(Arc::new(Inner { core, requests, start, group, slot, buffer, is_released, outbox: Outbox::default() }))
    }

    fn with_buffer<T>(&self, f: impl FnOnce(&mut WriteBuffer) -> Result<T>) -> Result<T> {
        f(lock(&self.0.buffer).as_mut().ok_or(TitoError::TransactionEnded)?)
    }

    /// Reads from the snapshot where that does not block the runtime.
    async fn read<T: Send + 'static>(
        &self,
        operation: &'static str,
        keys: usize,
        f: impl FnOnce(&dyn Snapshot) -> StoreResult<T> + Send + 'static,
    ) -> Result<T> {
        let Some(snapshot) = lock(&self.0.slot).clone() else { return Err(self.without_snapshot()) };
        let read = move || guarded(|| f(&*snapshot));
        let result = if self.0.core.is_durable || keys > FEW_KEYS {
            tokio::task::spawn_blocking(read).await.unwrap_or_else(|error| Err(error.into()))
        } else {
            read()
        };
        result.map_err(|source| storage_failed(operation, source))
    }

    fn without_snapshot(&self) -> TitoError {
        let head = lock(&self.0.core.head);
        match head.check_open() {
            Err(closed) => closed,
            Ok(()) => too_old(self.0.start, self.0.core.now(&head), self.0.core.max_age_millis),
        }
    }

    async fn scan_in(&self, range: KeyRange, direction: Direction, limit: usize) -> Result<Vec<KeyValue>> {
        let writes = self.with_buffer(|buffer| Ok(buffer.writes()))?;
        self.read("scan", limit, move |snapshot| merged_scan(snapshot, &writes, &range, direction, limit)).await
    }

    fn end(&self) -> Option<WriteBuffer> {
        lock(&self.0.buffer).take()
    }
}

impl TitoTransaction for EmbeddedTransaction {
    fn start_timestamp(&self) -> Timestamp {
        self.0.start
    }

    async fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        if let Some(own) = self.with_buffer(|buffer| Ok(buffer.get(key)))? {
            return Ok(own);
        }
        let key = key.to_vec();
        self.read("get", 1, move |snapshot| snapshot.get(&key)).await
    }

    async fn batch_get(&self, keys: Vec<Vec<u8>>) -> Result<Vec<Option<Vec<u8>>>> {
        let writes = self.with_buffer(|buffer| Ok(buffer.writes()))?;
        self.read("batch_get", keys.len(), move |snapshot| {
            let mut values = Vec::with_capacity(keys.len());
            for key in &keys {
                values.push(match writes.get(key) {
                    Some(own) => own.value.clone(),
                    None => snapshot.get(key)?,
                });
            }
            Ok(values)
        })
        .await
    }

    async fn scan(&self, range: KeyRange, limit: usize) -> Result<Vec<KeyValue>> {
        self.scan_in(range, Direction::Ascending, limit).await
    }

    async fn scan_reverse(&self, range: KeyRange, limit: usize) -> Result<Vec<KeyValue>> {
        self.scan_in(range, Direction::Descending, limit).await
    }

    async fn put(&self, key: Vec<u8>, value: Vec<u8>) -> Result<()> {
        self.with_buffer(|buffer| buffer.write(key, Some(value), &self.0.core.limits))
    }

    async fn insert(&self, key: Vec<u8>, value: Vec<u8>) -> Result<()> {
        self.with_buffer(|buffer| buffer.insert(key, value, &self.0.core.limits))
    }

    async fn delete(&self, key: Vec<u8>) -> Result<()> {
        self.with_buffer(|buffer| buffer.write(key, None, &self.0.core.limits))
    }

    async fn lock_keys(&self, keys: Vec<Vec<u8>>) -> Result<()> {
        self.with_buffer(|buffer| keys.into_iter().try_for_each(|key| buffer.lock(key, &self.0.core.limits)))
    }

    fn outbox(&self) -> &Outbox {
        &self.0.outbox
    }

    async fn commit(&self) -> Result<Timestamp> {
        let buffer = self.end().ok_or(TitoError::TransactionEnded)?;
        if buffer.is_empty() {
            self.0.release();
            return Ok(self.0.start);
        }
        let (writes, locks, bytes) = buffer.into_parts();
        let writes = writes.into_iter().map(|(key, pending)| (hash_key(&key), key, pending)).collect();
        let locks = locks.into_iter().map(|key| (hash_key(&key), key)).collect();
        let announcements = self.0.outbox.take_announcements();
        let (reply, answer) = oneshot::channel();
        // From here on the request keeps the transaction live until it is answered, also if nobody waits for that.
        self.0.release_snapshot();
        let transaction = self.0.clone();
        let request = Request::Commit(CommitRequest { transaction, writes, locks, bytes, announcements, reply });
        if self.0.requests.send(request).await.is_err() {
            return Err(closed(&self.0.core));
        }
        answer.await.unwrap_or_else(|_| {
            Err(TitoError::CommitUnknown { source: "the committer ended before it answered".into() })
        })
    }

    async fn rollback(&self) {
        // A commit that is under way on another handle is left to itself.
        if self.end().is_some() {
            self.0.release();
        }
    }
}

pub(super) fn closed(core: &Core) -> TitoError {
    let reason = || TitoError::EngineClosed { reason: "it was shut down".to_string() };
    lock(&core.head).check_open().err().unwrap_or_else(reason)
}
