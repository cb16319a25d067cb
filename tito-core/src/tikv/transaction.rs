//! A transaction before its end: its snapshot, its own writes, its guards.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use tikv_client::transaction::HeartbeatOption;
use tikv_client::{Backoff, CheckLevel, RetryOptions, TransactionClient, TransactionOptions};

use super::age::Age;
use super::commit::{Begun, Commit};
use super::guards::Guards;
use super::reads::At;
use super::scan::scan;
use super::{Concurrency, Core, timestamp_of};
use crate::engine::write_buffer::{WriteBuffer, Writes};
use crate::engine::{KeyValue, Limits, Outbox, TitoTransaction};
use crate::error::{Result, TitoError};
use crate::keys::KeyRange;
use crate::timestamp::Timestamp;

/// A transaction of the TiKV engine.
#[derive(Clone)]
pub struct TiKVTransaction(Arc<Inner>);

struct Inner {
    core: Arc<Core>,
    slot: usize,
    start: Timestamp,
    age: Age,
    /// `None` once the transaction has ended.
    open: Mutex<Option<Open>>,
    /// What a pessimistic transaction holds, until it hands it to its replay.
    guards: Mutex<Option<Arc<Guards>>>,
    outbox: Outbox,
}

struct Open {
    begun: Begun,
    /// The client's transaction has a buffer too, which is filled at the commit only. It would make the first key that
    /// is touched the primary one, and lose the transaction where that key is inserted and deleted again: a check that
    /// a key does not exist locks nothing, and so can't be committed.
    buffer: WriteBuffer,
}

/// The client does not try a region again during a commit. When it does, and PD can't tell where the keys are by then, it
/// drops them and takes that for success: of a prewrite they would be missing without a word, and a commit would be
/// reported that was never sent. What fails is settled instead, and run again as a whole if it took no effect.
const ONE_ATTEMPT: Backoff = Backoff::no_backoff();

/// How long it waits for another transaction's lock: a second and a half. Where the other one lives, it is a conflict
/// after that in any case; where it died, 32 attempts of this length outlast the 20 s that its locks live at most.
const LOCK_BACKOFF: Backoff = Backoff::no_jitter_backoff(2, 500, 10);

impl TiKVTransaction {
    /// A new transaction, with the guards of the one that it is the replay of.
    pub(super) async fn begin(core: &Arc<Core>, replayed: Option<&Self>) -> Result<Self> {
        let slot = core.connections.next_slot();
        // Read before the timestamp is taken, so that the age measured from here is never too small.
        let (began_millis, began) = (core.settings.clock.now_millis(), Instant::now());
        let begin = |client: TransactionClient| async move { client.begin_with_options(options()).await };
        let (client, transaction) = core.ask_pd(slot, "begin", begin).await?;
        let start = timestamp_of(&transaction.start_timestamp());
        let guards = match core.settings.concurrency {
            Concurrency::Optimistic => None,
            Concurrency::Pessimistic => {
                let held = replayed.and_then(|replayed| lock(&replayed.0.guards).take_if(|guards| guards.are_held()));
                Some(held.unwrap_or_else(|| Arc::new(Guards::new(core.clone(), slot))))
            }
        };
        let age = Age { began_millis, began };
        let begun = Begun { slot, client, transaction, start, age };
        let open = Mutex::new(Some(Open { begun, buffer: WriteBuffer::default() }));
        let (guards, outbox) = (Mutex::new(guards), Outbox::default());
        Ok(Self(Arc::new(Inner { core: core.clone(), slot, start, age, open, guards, outbox })))
    }

    fn with_buffer<T>(&self, f: impl FnOnce(&mut WriteBuffer) -> Result<T>) -> Result<T> {
        f(&mut lock(&self.0.open).as_mut().ok_or(TitoError::TransactionEnded)?.buffer)
    }

    fn writes(&self) -> Result<Arc<Writes>> {
        self.with_buffer(|buffer| Ok(buffer.writes()))
    }

    /// Where the transaction reads. Not past its age: the versions that it saw may have been collected as garbage by
    /// then, and TiKV answers such a read with what is left instead of an error.
    fn at(&self) -> Result<At<'_>> {
        let Inner { core, slot, start, age, .. } = &*self.0;
        let (age_millis, limit_millis) = (age.millis(core), core.max_age_millis());
        match age_millis > limit_millis {
            true => Err(TitoError::TransactionTooOld { age_millis, limit_millis }),
            false => Ok(At { core, slot: *slot, timestamp: *start }),
        }
    }

    /// Writes what is the engine's own, whatever limits the application has set.
    pub(super) fn insert_past_the_limits(&self, key: Vec<u8>, value: Vec<u8>) -> Result<()> {
        self.with_buffer(|buffer| buffer.insert(key, value, &Limits::default()))
    }

    fn end(&self) -> Option<Open> {
        lock(&self.0.open).take()
    }

    /// Waits for the keys in a pessimistic transaction.
    async fn guard(&self, keys: &[Vec<u8>]) {
        let guards = lock(&self.0.guards).clone();
        if let Some(guards) = guards {
            Guards::acquire(&guards, keys).await;
        }
    }

    async fn scan_in(&self, range: KeyRange, is_reverse: bool, limit: usize) -> Result<Vec<KeyValue>> {
        let writes = self.writes()?;
        scan(self.at()?, &writes, range, is_reverse, limit).await
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // An optimistic transaction that was not committed has left no trace in the cluster.
        if let Some(guards) = lock(&self.guards).take() {
            Guards::release(&guards);
        }
    }
}

impl TitoTransaction for TiKVTransaction {
    fn start_timestamp(&self) -> Timestamp {
        self.0.start
    }

    async fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        match self.with_buffer(|buffer| Ok(buffer.get(key)))? {
            Some(own) => Ok(own),
            None => self.at()?.get(key).await,
        }
    }

    async fn batch_get(&self, keys: Vec<Vec<u8>>) -> Result<Vec<Option<Vec<u8>>>> {
        let writes = self.writes()?;
        let stored: BTreeSet<Vec<u8>> = keys.iter().filter(|key| !writes.contains_key(*key)).cloned().collect();
        let found = self.at()?.batch_get(stored).await?;
        let value = |key: &Vec<u8>| match writes.get(key) {
            Some(own) => own.value.clone(),
            None => found.get(key).cloned(),
        };
        Ok(keys.iter().map(value).collect())
    }

    async fn scan(&self, range: KeyRange, limit: usize) -> Result<Vec<KeyValue>> {
        self.scan_in(range, false, limit).await
    }

    async fn scan_reverse(&self, range: KeyRange, limit: usize) -> Result<Vec<KeyValue>> {
        self.scan_in(range, true, limit).await
    }

    async fn put(&self, key: Vec<u8>, value: Vec<u8>) -> Result<()> {
        let keys = [key.clone()];
        self.with_buffer(|buffer| buffer.write(key, Some(value), &self.0.core.settings.limits))?;
        self.guard(&keys).await;
        Ok(())
    }

    async fn insert(&self, key: Vec<u8>, value: Vec<u8>) -> Result<()> {
        let keys = [key.clone()];
        self.with_buffer(|buffer| buffer.insert(key, value, &self.0.core.settings.limits))?;
        self.guard(&keys).await;
        Ok(())
    }

    async fn delete(&self, key: Vec<u8>) -> Result<()> {
        let keys = [key.clone()];
        self.with_buffer(|buffer| buffer.write(key, None, &self.0.core.settings.limits))?;
        self.guard(&keys).await;
        Ok(())
    }

    async fn lock_keys(&self, keys: Vec<Vec<u8>>) -> Result<()> {
        let limits = &self.0.core.settings.limits;
        self.with_buffer(|buffer| keys.iter().try_for_each(|key| buffer.lock(key.clone(), limits)))?;
        self.guard(&keys).await;
        Ok(())
    }

    fn outbox(&self) -> &Outbox {
        &self.0.outbox
    }

    async fn commit(&self) -> Result<Timestamp> {
        let Open { begun, buffer } = self.end().ok_or(TitoError::TransactionEnded)?;
        if buffer.is_empty() {
            return Ok(self.0.start);
        }
        self.0.core.check_open()?;
        let announcements = self.0.outbox.take_announcements();
        let commit = Commit { core: self.0.core.clone(), begun, buffer, announcements };
        let guards = lock(&self.0.guards).clone();
        // Between its two phases a commit must not be dropped, so it does not depend on this future.
        let answer = self.0.core.tasks.start(async move {
            let outcome = commit.run().await;
            let is_replayed = matches!(outcome, Err(TitoError::Conflict { .. } | TitoError::Unavailable { .. }));
            if let Some(guards) = guards.filter(|_| !is_replayed) {
                // Before the answer, so that whoever begins after it does not wait for these.
                Guards::release_held(&guards).await;
            }
            outcome
        });
        answer.await.unwrap_or_else(|_| {
            Err(TitoError::CommitUnknown { source: "the task of the commit ended without an answer".into() })
        })
    }

    async fn rollback(&self) {
        // A commit that is under way on another handle is left to itself.
        if self.end().is_none() {
            return;
        }
        let guards = lock(&self.0.guards).take();
        if let Some(guards) = guards {
            // An error means that the runtime is going down.
            let _ = Guards::release(&guards).await;
        }
    }
}

/// Neither one-phase commit nor async commit: the client has neither's fallback, a one-phase commit of several batches
/// commits each by itself, and overlapping blind writes under them don't conflict.
fn options() -> TransactionOptions {
    TransactionOptions::new_optimistic()
        .retry_options(RetryOptions { region_backoff: ONE_ATTEMPT, lock_backoff: LOCK_BACKOFF })
        // The client's task for it sleeps 10 s after each commit before it notices. Locks live 3 to 20 s without.
        .heartbeat_option(HeartbeatOption::NoHeartbeat)
        // By default the client panics when a transaction that was neither committed nor rolled back is dropped.
        .drop_check(CheckLevel::None)
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // Nothing that holds one of these locks calls code that could panic half-way through a change.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
