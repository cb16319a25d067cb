//! The latest committed state, and the transactions that look at it or at one before it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::sync::watch;

use super::oracle::Oracle;
use super::present::Present;
use super::store::{Snapshot, StoreResult, Visit};
use crate::clock::Clock;
use crate::engine::Direction;
use crate::error::{Result, TitoError};
use crate::keys::KeyRange;
use crate::timestamp::{Now, Timestamp};

/// Where a transaction keeps its snapshot; emptied when the transaction has grown too old.
pub(super) type SnapshotSlot = Mutex<Option<Arc<dyn Snapshot>>>;

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing that holds one of the engine's locks calls code that could panic half-way through a change.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// All of it is under one lock, which pairs snapshots with timestamps: a transaction with start timestamp S sees
/// exactly the commits whose timestamp is below S, because a group becomes visible and gets its timestamps in one step.
pub(super) struct Head {
    snapshot: Arc<dyn Snapshot>,
    /// How many groups were committed since the engine was opened.
    group: u64,
    pub(super) oracle: Oracle,
    present: Present,
    live: BTreeMap<Timestamp, Live>,
    /// Snapshots that are kept however old they become, to be taken away when the engine is closed.
    kept: Vec<Weak<SnapshotSlot>>,
    /// Why the engine was closed; whoever waits for that is told.
    closed: watch::Sender<Option<String>>,
}

struct Live {
    /// When it began, by the monotonic clock.
    began_millis: u64,
    /// The last group that the transaction sees.
    group: u64,
    /// Whether its commit is being written, so that it can land however old it becomes meanwhile.
    is_committing: bool,
    slot: Weak<SnapshotSlot>,
}

/// What a transaction begins with.
pub(super) struct Beginning {
    pub(super) start: Timestamp,
    pub(super) now: Now,
    /// By the monotonic clock.
    pub(super) began_millis: u64,
    pub(super) group: u64,
    pub(super) slot: Arc<SnapshotSlot>,
}

impl Head {
    pub(super) fn new(snapshot: Arc<dyn Snapshot>, oracle: Oracle, present: Present) -> Self {
        let (live, kept, closed) = (BTreeMap::new(), Vec::new(), watch::Sender::new(None));
        Self { snapshot, group: 0, oracle, present, live, kept, closed }
    }

    /// The present. A timestamp that is drawn by it afterwards is not before it.
    pub(super) fn now(&mut self, clock: &dyn Clock) -> Now {
        self.present.now(clock, self.oracle.last())
    }

    /// Fails once the engine was closed.
    pub(super) fn check_open(&self) -> Result<()> {
        match &*self.closed.borrow() {
            None => Ok(()),
            Some(reason) => Err(TitoError::EngineClosed { reason: reason.clone() }),
        }
    }

    /// Tells when the engine was closed, and why.
    pub(super) fn watch_closed(&self) -> watch::Receiver<Option<String>> {
        self.closed.subscribe()
    }

    /// Begins a transaction, or `None` if timestamps have to be reserved first.
    pub(super) fn begin(&mut self, clock: &dyn Clock) -> Option<Beginning> {
        let (began_millis, now) = (clock.monotonic_millis(), self.now(clock));
        let start = self.oracle.next(now.millis())?;
        let slot = Arc::new(Mutex::new(Some(self.snapshot.clone())));
        let live = Live { began_millis, group: self.group, is_committing: false, slot: Arc::downgrade(&slot) };
        self.live.insert(start, live);
        Some(Beginning { start, now, began_millis, group: self.group, slot })
    }

    /// The latest state at a timestamp of its own, or `None` if timestamps have to be reserved first. It belongs to no
    /// transaction: it is held for as long as the slot is.
    pub(super) fn keep(&mut self, clock: &dyn Clock) -> Option<(Timestamp, Arc<SnapshotSlot>)> {
        let now = self.now(clock);
        let timestamp = self.oracle.next(now.millis())?;
        let slot = Arc::new(Mutex::new(Some(self.snapshot.clone())));
        self.kept.retain(|kept| kept.strong_count() > 0);
        self.kept.push(Arc::downgrade(&slot));
        Some((timestamp, slot))
    }

    /// Forgets a transaction that has ended.
    pub(super) fn end(&mut self, start: Timestamp) {
        self.live.remove(&start);
    }

    /// Admits a transaction's commit if it has neither ended nor grown too old: it stays live until it is ended.
    pub(super) fn admit(&mut self, start: Timestamp) -> bool {
        self.live.get_mut(&start).is_some_and(|live| {
            live.is_committing = true;
            true
        })
    }

    /// Makes a group visible, and returns the state before it. The caller draws the group's timestamps from the oracle
    /// before it gives up the lock.
    #[must_use = "dropped under the lock, it can keep all others waiting while a memtable is freed"]
    pub(super) fn publish(&mut self, snapshot: Arc<dyn Snapshot>, group: u64) -> Arc<dyn Snapshot> {
        self.group = group;
        std::mem::replace(&mut self.snapshot, snapshot)
    }

    /// The last group that every live transaction sees: older ones can't conflict with anything any more.
    pub(super) fn settled_group(&self) -> u64 {
        self.live.first_key_value().map_or(self.group, |(_, oldest)| oldest.group)
    }

    /// The start of the oldest live transaction.
    pub(super) fn oldest_live_start(&self) -> Option<Timestamp> {
        self.live.first_key_value().map(|(start, _)| *start)
    }

    /// Takes their snapshots from transactions that began more than `max_age_millis` before `monotonic_millis`, and whose
    /// commit is not under way. They can no longer commit; keeping their snapshots would let the file grow with every commit since. Returns the snapshots, to be
    /// dropped without the lock.
    #[must_use = "dropped under the lock, they can keep all others waiting while a memtable is freed"]
    pub(super) fn expire(&mut self, monotonic_millis: u64, max_age_millis: u64) -> Vec<Arc<dyn Snapshot>> {
        let is_expired = |live: &Live| monotonic_millis.saturating_sub(live.began_millis) > max_age_millis;
        let mut released = Vec::new();
        let mut committing = Vec::new();
        while let Some(oldest) = self.live.first_entry().filter(|oldest| is_expired(oldest.get())) {
            let (start, live) = oldest.remove_entry();
            if live.is_committing { committing.push((start, live)) } else { released.extend(release(&live)) }
        }
        self.live.extend(committing);
        released
    }

    /// Closes the engine; all who have a snapshot lose it, so that the storage can be released.
    pub(super) fn close(&mut self, reason: String) {
        self.closed.send_if_modified(|closed| closed.is_none() && closed.replace(reason).is_none());
        for transaction in std::mem::take(&mut self.live).values() {
            drop(release(transaction));
        }
        for slot in std::mem::take(&mut self.kept) {
            drop(take_from(&slot));
        }
        self.snapshot = Arc::new(Closed);
    }
}

fn release(transaction: &Live) -> Option<Arc<dyn Snapshot>> {
    take_from(&transaction.slot)
}

fn take_from(slot: &Weak<SnapshotSlot>) -> Option<Arc<dyn Snapshot>> {
    lock(&*slot.upgrade()?).take()
}

/// Stands in for the last snapshot once the engine is closed; never read, as nothing begins then.
struct Closed;

impl Snapshot for Closed {
    fn get_from_memory(&self, _: &[u8]) -> Option<Option<Vec<u8>>> {
        None
    }

    fn version(&self) -> u64 {
        0
    }

    fn is_unchanged(&self, _: &[u8], _: u64) -> bool {
        false
    }

    fn get(&self, _: &[u8]) -> StoreResult<Option<Vec<u8>>> {
        Err("the engine is closed".into())
    }

    fn get_and_cache(&self, key: &[u8]) -> StoreResult<Option<Vec<u8>>> {
        self.get(key)
    }

    fn visit(&self, _: &KeyRange, _: Direction, _: Visit<'_>) -> StoreResult<()> {
        Err("the engine is closed".into())
    }
}
