//! A transaction: reads of its snapshot, and its commit.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use futures::FutureExt;
use futures::future::BoxFuture;
use tito_tikv::{Outcome, Reason, Snapshot};

use super::age::Age;
use super::error::{TiKVError, failed};
use super::guards::Guards;
use super::{Concurrency, Core, timestamp_of};
use crate::engine::{Claim, Direction, KeyValue, Mutations, Signals, TitoTransaction};
use crate::error::{KeyText, Result, TitoError};
use crate::keys::{self, KeyRange};
use crate::timestamp::{Now, Timestamp};

/// A transaction of the TiKV engine.
pub struct TiKVTransaction {
    core: Arc<Core>,
    snapshot: Snapshot,
    age: Age,
    /// `None` once the transaction has ended.
    begun: Mutex<Option<tito_tikv::Transaction>>,
    /// What a pessimistic transaction holds, until it hands it to its replay.
    guards: Mutex<Option<Arc<Guards>>>,
}

impl TiKVTransaction {
    /// A new transaction, with the guards of the one that it is the replay of.
    pub(super) async fn begin(core: &Arc<Core>, replayed: Option<&Self>) -> Result<Self> {
        core.check_open()?;
        // Read before the timestamp is taken, so that the age measured from here is never too small.
        let age = Age::from_now(core);
        let begun = core.client.begin().await.map_err(|error| failed("begin", None, error))?;
        let guards = match core.settings.concurrency {
            Concurrency::Optimistic => None,
            Concurrency::Pessimistic => {
                // Another engine's guards are another cluster's.
                let replayed = replayed.filter(|replayed| Arc::ptr_eq(&replayed.core, core));
                let held = replayed.and_then(|replayed| lock(&replayed.guards).take_if(|guards| guards.are_held()));
                Some(held.unwrap_or_else(|| Arc::new(Guards::new(core.clone()))))
            }
        };
        let snapshot = begun.snapshot().clone();
        let (begun, guards) = (Mutex::new(Some(begun)), Mutex::new(guards));
        Ok(Self { core: core.clone(), snapshot, age, begun, guards })
    }

    /// What the transaction reads. Not past its age: the versions that it saw may have been collected as garbage by then,
    /// and TiKV answers such a read with what is left instead of an error.
    fn snapshot(&self) -> Result<&Snapshot> {
        self.core.check_open()?;
        let (age_millis, limit_millis) = (self.age.millis(&self.core), self.core.max_age_millis());
        if age_millis > limit_millis {
            Err(TitoError::TransactionTooOld { age_millis, limit_millis })
        } else {
            Ok(&self.snapshot)
        }
    }

    async fn read(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        let found = self.snapshot()?.get(self.core.prefix.stored(key)).await;
        found.map_err(|error| failed("get", Some(key), error))
    }

    async fn end(&self, mutations: Mutations, signals: Signals) -> Result<Timestamp> {
        let begun = lock(&self.begun).take().ok_or(TitoError::TransactionEnded)?;
        if mutations.is_empty() {
            self.core.shared.deliver(signals, self.start_timestamp());
            return Ok(self.start_timestamp());
        }
        self.core.check_open()?;
        let core = self.core.clone();
        let guards = lock(&self.guards).clone();
        // Who listens is to hear of a commit whatever becomes of this future.
        let answer = self.core.tasks.start(async move {
            let outcome = commit(&core, begun, mutations).await;
            if let Ok(committed) = &outcome {
                core.shared.deliver(signals, *committed);
            }
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

/// The values of some keys in a snapshot, in their order.
pub(super) async fn read_many(core: &Core, at: &Snapshot, keys: Vec<Vec<u8>>) -> Result<Vec<Option<Vec<u8>>>> {
    let first = keys.iter().min().map(Vec::as_slice);
    let found = at.batch_get(keys.iter().map(|key| core.prefix.stored(key))).await;
    let found: BTreeMap<Vec<u8>, Vec<u8>> =
        found.map_err(|error| failed("batch_get", first, error))?.into_iter().collect();
    Ok(keys.iter().map(|key| found.get(&core.prefix.stored(key)).cloned()).collect())
}

/// The first entries of a range in a snapshot.
pub(super) async fn read_range(
    core: &Core,
    at: &Snapshot,
    range: KeyRange,
    direction: Direction,
    limit: usize,
) -> Result<Vec<KeyValue>> {
    let (prefix, stored) = (&core.prefix, core.prefix.stored_range(&range));
    // The database's own row is none of the application's.
    let identity = keys::database_identity();
    let asked = limit.saturating_add(usize::from(range.contains(&identity)));
    let (call, found) = match direction {
        Direction::Ascending => ("scan", at.scan::<&[u8]>(stored.bounds(), asked).await),
        Direction::Descending => ("scan_reverse", at.scan_reverse::<&[u8]>(stored.bounds(), asked).await),
    };
    let found = found.map_err(|error| failed(call, Some(&range.start), error))?;
    let own = found.into_iter().map(|(key, value)| (prefix.own(key), value));
    Ok(own.filter(|(key, _)| *key != identity).take(limit).collect())
}

/// Hands the writes to the client, which sends nothing before its commit; a read only looks for keys that were inserted
/// and deleted again.
async fn commit(core: &Core, mut begun: tito_tikv::Transaction, mutations: Mutations) -> Result<Timestamp> {
    let Mutations { writes, locks, .. } = mutations;
    let mut locks: BTreeSet<Vec<u8>> = locks.into_iter().filter(|key| !writes.contains_key(key)).collect();
    // A key that must not exist and is not written either. It is looked up in the snapshot, and locked, so that it still
    // does not exist at the commit.
    let absent: BTreeSet<&Vec<u8>> = writes
        .iter()
        .filter(|(_, mutation)| mutation.must_be_new && mutation.value.is_none())
        .map(|(key, _)| key)
        .collect();
    if let Some(first) = absent.first() {
        let found = begun.snapshot().batch_get(absent.iter().map(|key| core.prefix.stored(key))).await;
        if let Some((key, _)) = found.map_err(|error| failed("commit", Some(first), error))?.into_iter().next() {
            return Err(TitoError::AlreadyExists { key: core.prefix.own(key).into() });
        }
    }
    locks.extend(absent.into_iter().cloned());
    let first = writes.keys().chain(&locks).next().cloned().expect("a commit of nothing ends before it");
    for (key, mutation) in writes {
        if locks.contains(&key) {
            continue;
        }
        let stored = core.prefix.stored(&key);
        match (mutation.value, mutation.must_be_new) {
            (Some(value), true) => begun.insert(stored, value),
            (Some(value), false) => begun.put(stored, value),
            (None, _) => begun.delete(stored),
        }
    }
    for key in locks {
        begun.lock(core.prefix.stored(&key));
    }
    match begun.commit().await {
        Outcome::Committed(at) => Ok(timestamp_of(at)),
        Outcome::NotCommitted(reason) => Err(refused(core, reason, first)),
        Outcome::Unknown(source) => {
            let source = TiKVError::Undetermined { key: Some(first.into()), source: Box::new(source) };
            Err(TitoError::CommitUnknown { source: source.into() })
        }
    }
}

/// What certainly took no effect.
fn refused(core: &Core, reason: Reason, first: Vec<u8>) -> TitoError {
    let own = |key: tito_tikv::Key| KeyText::from(core.prefix.own(key.into_bytes()));
    match reason {
        Reason::Conflict { key, .. } | Reason::Locked { key, .. } => TitoError::Conflict { key: own(key) },
        Reason::Exists { key } => TitoError::AlreadyExists { key: own(key) },
        Reason::TooOld { age_millis, limit_millis } => TitoError::TransactionTooOld { age_millis, limit_millis },
        Reason::Failed(error) => failed("commit", Some(&first), error),
        // Its locks had expired, and others took it for dead.
        _ => TitoError::Conflict { key: first.into() },
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
        timestamp_of(self.snapshot.timestamp())
    }

    fn get<'a>(&'a self, key: &'a [u8]) -> BoxFuture<'a, Result<Option<Vec<u8>>>> {
        self.read(key).boxed()
    }

    fn batch_get(&self, keys: Vec<Vec<u8>>) -> BoxFuture<'_, Result<Vec<Option<Vec<u8>>>>> {
        async { read_many(&self.core, self.snapshot()?, keys).await }.boxed()
    }

    fn scan(&self, range: KeyRange, direction: Direction, limit: usize) -> BoxFuture<'_, Result<Vec<KeyValue>>> {
        async move { read_range(&self.core, self.snapshot()?, range, direction, limit).await }.boxed()
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
        self.end(mutations, signals).boxed()
    }

    fn rollback(&self) -> BoxFuture<'_, ()> {
        self.roll_back().boxed()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // Nothing that holds one of these locks calls code that could panic half-way through a change.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
