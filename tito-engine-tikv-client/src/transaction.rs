//! A transaction before its end: its snapshot and its guards.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use futures::FutureExt;
use futures::future::BoxFuture;
use tikv_client::transaction::HeartbeatOption;
use tikv_client::{Backoff, CheckLevel, RetryOptions, TransactionClient, TransactionOptions};

use super::age::Age;
use super::commit::{Begun, Commit};
use super::guards::Guards;
use super::reads::At;
use super::scan::scan;
use super::{Concurrency, Core, timestamp_of};
use tito_core::engine::{Claim, Direction, KeyValue, Mutations, Signals, TitoTransaction};
use tito_core::keys::KeyRange;
use tito_core::{Now, Timestamp};
use tito_core::{Result, TitoError};

/// A transaction of the TiKV engine.
pub(super) struct TiKVTransaction {
    core: Arc<Core>,
    slot: usize,
    start: Timestamp,
    age: Age,
    /// `None` once the transaction has ended. The client's transaction has a buffer of its own, which is filled at the
    /// commit only: it would make the first key that is touched the primary one, and lose the transaction where that key
    /// is inserted and deleted again, as a check that a key does not exist locks nothing, and so can't be committed.
    begun: Mutex<Option<Begun>>,
    /// What a pessimistic transaction holds, until it hands it to its replay.
    guards: Mutex<Option<Arc<Guards>>>,
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
        let (began_millis, began) = (core.settings.clock.monotonic_millis(), Instant::now());
        let begin = |client: TransactionClient| async move { client.begin_with_options(options()).await };
        let (client, transaction) = core.ask_pd(slot, "begin", begin).await?;
        let start = timestamp_of(&transaction.start_timestamp());
        let guards = match core.settings.concurrency {
            Concurrency::Optimistic => None,
            Concurrency::Pessimistic => {
                // Another engine's guards are another cluster's.
                let replayed = replayed.filter(|replayed| Arc::ptr_eq(&replayed.core, core));
                let held = replayed.and_then(|replayed| lock(&replayed.guards).take_if(|guards| guards.are_held()));
                Some(held.unwrap_or_else(|| Arc::new(Guards::new(core.clone(), slot))))
            }
        };
        let age = Age { began_millis, began };
        let begun = Begun { slot, client, transaction, start, age };
        let (begun, guards) = (Mutex::new(Some(begun)), Mutex::new(guards));
        Ok(Self { core: core.clone(), slot, start, age, begun, guards })
    }

    /// Where the transaction reads. Not past its age: the versions that it saw may have been collected as garbage by
    /// then, and TiKV answers such a read with what is left instead of an error.
    fn at(&self) -> Result<At<'_>> {
        let Self { core, slot, start, age, .. } = self;
        let (age_millis, limit_millis) = (age.millis(core), core.max_age_millis());
        if age_millis > limit_millis {
            Err(TitoError::TransactionTooOld { age_millis, limit_millis })
        } else {
            Ok(At { core, slot: *slot, timestamp: *start })
        }
    }

    async fn read_many(&self, keys: Vec<Vec<u8>>) -> Result<Vec<Option<Vec<u8>>>> {
        let found = self.at()?.batch_get(keys.iter().cloned().collect()).await?;
        Ok(keys.iter().map(|key| found.get(key).cloned()).collect())
    }

    async fn commit(&self, mutations: Mutations, signals: Signals) -> Result<Timestamp> {
        let begun = lock(&self.begun).take().ok_or(TitoError::TransactionEnded)?;
        if mutations.is_empty() {
            self.core.shared.deliver(signals, self.start);
            return Ok(self.start);
        }
        self.core.check_open()?;
        let commit = Commit { core: self.core.clone(), begun, mutations, signals };
        let guards = lock(&self.guards).clone();
        // Between its two phases a commit must not be dropped, so it does not depend on this future.
        let answer = self.core.tasks.start(async move {
            let outcome = commit.run().await;
            let is_replayed = outcome.as_ref().is_err_and(TitoError::is_replayed);
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

    async fn roll_back(&self) {
        drop(lock(&self.begun).take());
        let guards = lock(&self.guards).take();
        if let Some(guards) = guards {
            // An error means that the runtime is going down.
            let _ = Guards::release(&guards).await;
        }
    }
}

impl Drop for TiKVTransaction {
    fn drop(&mut self) {
        // An optimistic transaction that was not committed has left no trace in the cluster.
        if let Some(guards) = lock(&self.guards).take() {
            Guards::release(&guards);
        }
    }
}

impl TitoTransaction for TiKVTransaction {
    fn now(&self) -> Now {
        Now::from_millis(self.start_timestamp().physical_millis())
    }

    fn start_timestamp(&self) -> Timestamp {
        self.start
    }

    fn get<'a>(&'a self, key: &'a [u8]) -> BoxFuture<'a, Result<Option<Vec<u8>>>> {
        async { self.at()?.get(key).await }.boxed()
    }

    fn batch_get(&self, keys: Vec<Vec<u8>>) -> BoxFuture<'_, Result<Vec<Option<Vec<u8>>>>> {
        self.read_many(keys).boxed()
    }

    fn scan(&self, range: KeyRange, direction: Direction, limit: usize) -> BoxFuture<'_, Result<Vec<KeyValue>>> {
        async move { scan(self.at()?, range, direction, limit).await }.boxed()
    }

    fn claim<'a>(&'a self, keys: &'a [Vec<u8>], _purpose: Claim) -> Option<BoxFuture<'a, Result<()>>> {
        let guards = lock(&self.guards).clone()?;
        Some(
            async move {
                Guards::acquire(&guards, keys).await;
                Ok(())
            }
            .boxed(),
        )
    }

    fn commit(&self, mutations: Mutations, signals: Signals) -> BoxFuture<'_, Result<Timestamp>> {
        self.commit(mutations, signals).boxed()
    }

    fn rollback(&self) -> BoxFuture<'_, ()> {
        self.roll_back().boxed()
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
