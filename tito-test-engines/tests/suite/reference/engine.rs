//! A second engine: a sorted map of versions behind a mutex, as simple as the contract allows. The suite passes on it,
//! and fails on it when one of its flaws is turned on.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use futures::FutureExt;
use futures::future::BoxFuture;

use tito_core::clock::Clock;
use tito_core::engine::{
    Direction, KeyValue, Limits, Mutation, Mutations, Shared, Signals, SnapshotVersion, TitoEngine, TitoSnapshot,
    TitoTransaction,
};
use tito_core::keys::KeyRange;
use tito_core::{Now, Result, Timestamp, TitoError};
use tito_test_engines::EngineSettings;

use super::flaw::Flaw;

type Versions = BTreeMap<Vec<u8>, BTreeMap<Timestamp, Option<Vec<u8>>>>;

/// What is kept when the engine is closed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Data {
    versions: Versions,
    /// When each key was written or locked last.
    claims: BTreeMap<Vec<u8>, Timestamp>,
    latest: Timestamp,
}

#[derive(Debug)]
pub(crate) struct ReferenceEngine(Arc<Engine>);

#[derive(Debug)]
struct Engine {
    flaw: Flaw,
    data: Arc<Mutex<Data>>,
    settings: EngineSettings,
    shared: Shared,
    /// What counts as a live transaction, which this engine does not know, for the flaw by which snapshots do.
    live: Mutex<BTreeSet<Timestamp>>,
}

impl Clone for ReferenceEngine {
    fn clone(&self) -> Self {
        if self.0.flaw == Flaw::ClonesAreApart {
            return Self::open(self.0.flaw, Data::default(), self.0.settings.clone());
        }
        Self(self.0.clone())
    }
}

impl ReferenceEngine {
    pub(crate) fn open(flaw: Flaw, data: Data, settings: EngineSettings) -> Self {
        static SHARED: OnceLock<Arc<Mutex<Data>>> = OnceLock::new();
        let own = Arc::new(Mutex::new(data));
        let data = if flaw == Flaw::SharesOneDatabase { SHARED.get_or_init(|| own).clone() } else { own };
        Self(Arc::new(Engine { flaw, data, settings, shared: Shared::default(), live: Mutex::default() }))
    }

    pub(crate) fn reopen(self, settings: EngineSettings) -> Self {
        let mut data = self.0.lock().clone();
        match self.0.flaw {
            Flaw::ForgetsTimestamps => data.latest = Timestamp::ZERO,
            Flaw::ForgetsData => data = Data::default(),
            _ => {}
        }
        Self::open(self.0.flaw, data, settings)
    }
}

impl Engine {
    fn lock(&self) -> MutexGuard<'_, Data> {
        self.data.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next_timestamp(&self, data: &mut Data) -> Timestamp {
        let now = Timestamp::from_millis(self.settings.clock.now_millis());
        data.latest = match self.flaw {
            Flaw::SharesTimestamps => data.latest.max(now),
            Flaw::IgnoresTheClock => data.latest.next(),
            Flaw::FollowsTheClockBack if now.physical_millis() != data.latest.physical_millis() => now,
            _ => data.latest.next().max(now),
        };
        data.latest
    }
}

impl TitoEngine for ReferenceEngine {
    fn begin<'a>(&'a self, _: Option<&'a dyn TitoTransaction>) -> BoxFuture<'a, Result<Box<dyn TitoTransaction>>> {
        async {
            tokio::task::yield_now().await;
            let start = self.0.next_timestamp(&mut self.0.lock());
            let (engine, read, is_cancelled) = (self.0.clone(), Mutex::default(), AtomicBool::new(false));
            Ok(Box::new(ReferenceTransaction { engine, start, read, is_cancelled }) as _)
        }
        .boxed()
    }

    fn snapshot(&self) -> BoxFuture<'_, Result<Box<dyn TitoSnapshot>>> {
        async {
            tokio::task::yield_now().await;
            let start = self.0.next_timestamp(&mut self.0.lock());
            let (engine, read, is_cancelled) = (self.0.clone(), Mutex::default(), AtomicBool::new(false));
            let flaw = engine.flaw;
            if flaw == Flaw::SnapshotsAreLive {
                engine.live.lock().unwrap_or_else(PoisonError::into_inner).insert(start);
            }
            Ok(Box::new(ReferenceSnapshot(ReferenceTransaction { engine, start, read, is_cancelled })) as _)
        }
        .boxed()
    }

    fn oldest_live_start(&self) -> Option<Timestamp> {
        self.0.live.lock().unwrap_or_else(PoisonError::into_inner).first().copied()
    }

    fn timestamp(&self) -> BoxFuture<'_, Result<Timestamp>> {
        async { Ok(self.0.next_timestamp(&mut self.0.lock())) }.boxed()
    }

    fn now(&self) -> BoxFuture<'_, Result<Now>> {
        async { Ok(Now::from_millis(self.0.next_timestamp(&mut self.0.lock()).physical_millis())) }.boxed()
    }

    fn clock(&self) -> &Arc<dyn Clock> {
        &self.0.settings.clock
    }

    fn limits(&self) -> &Limits {
        static OTHER: OnceLock<Limits> = OnceLock::new();
        if self.0.flaw == Flaw::TellsOtherLimits { OTHER.get_or_init(Limits::default) } else { &self.0.settings.limits }
    }

    fn max_transaction_age_millis(&self) -> u64 {
        self.0.settings.max_transaction_age.as_millis() as u64
    }

    fn shared(&self) -> &Shared {
        &self.0.shared
    }
}

struct ReferenceTransaction {
    engine: Arc<Engine>,
    start: Timestamp,
    /// What was read, for the flaw by which that counts as written.
    read: Mutex<BTreeSet<Vec<u8>>>,
    /// Whether a read was cancelled, for the flaw that minds.
    is_cancelled: AtomicBool,
}

/// A state that is kept.
struct ReferenceSnapshot(ReferenceTransaction);

impl ReferenceSnapshot {
    /// The state, or the latest one for flaws of snapshots.
    fn seen(&self) -> Result<ReferenceTransaction> {
        let ReferenceTransaction { engine, start, .. } = &self.0;
        let latest = engine.lock().latest;
        let limit_millis = engine.settings.max_transaction_age.as_millis() as u64;
        let age_millis = Timestamp::from_millis(engine.settings.clock.now_millis()).millis_since(*start);
        if engine.flaw == Flaw::SnapshotsAge && age_millis > limit_millis {
            return Err(TitoError::TransactionTooOld { age_millis, limit_millis });
        }
        let start = if engine.flaw == Flaw::SnapshotsFollow { latest.next() } else { *start };
        let (engine, read, is_cancelled) = (engine.clone(), Mutex::default(), AtomicBool::new(false));
        Ok(ReferenceTransaction { engine, start, read, is_cancelled })
    }
}

impl TitoSnapshot for ReferenceSnapshot {
    fn timestamp(&self) -> Timestamp {
        self.0.start
    }

    fn batch_get(&self, keys: Vec<Vec<u8>>) -> BoxFuture<'_, Result<Vec<Option<Vec<u8>>>>> {
        async move { self.seen()?.read_many(keys).await }.boxed()
    }

    fn scan(
        &self,
        range: KeyRange,
        direction: Direction,
        limit: usize,
        bytes: usize,
    ) -> BoxFuture<'_, Result<Vec<KeyValue>>> {
        async move {
            let mut page = self.seen()?.read_page(range, direction, limit).await?;
            let mut total = 0;
            let within = page.iter().take_while(|(key, value)| {
                total += key.len() + value.len();
                total <= bytes || self.0.engine.flaw == Flaw::PagesOfAnySize
            });
            let kept = within.count().max(1);
            page.truncate(kept);
            Ok(page)
        }
        .boxed()
    }

    fn release(self: Box<Self>) -> BoxFuture<'static, Result<()>> {
        std::future::ready(Ok(())).boxed()
    }
}

fn apply(data: &mut Data, commit: Timestamp, writes: BTreeMap<Vec<u8>, Mutation>, locks: Vec<Vec<u8>>) {
    data.claims.extend(writes.keys().cloned().chain(locks).map(|key| (key, commit)));
    for (key, mutation) in writes {
        data.versions.entry(key).or_default().insert(commit, mutation.value);
    }
}

impl ReferenceTransaction {
    /// The entries that the transaction sees.
    async fn visible(&self) -> Result<BTreeMap<Vec<u8>, Vec<u8>>> {
        let flaw = self.engine.flaw;
        if flaw == Flaw::CancelledReadEnds && self.is_cancelled.swap(true, Ordering::SeqCst) {
            return Err(TitoError::TransactionEnded);
        }
        tokio::task::yield_now().await;
        self.is_cancelled.store(false, Ordering::SeqCst);
        let data = self.engine.lock();
        let end = match flaw {
            Flaw::ReadsTheLatest => data.latest.next(),
            Flaw::MissesTheLastCommit => data.claims.values().copied().max().unwrap_or_default().min(self.start),
            _ => self.start,
        };
        let latest = |versions: &BTreeMap<Timestamp, Option<Vec<u8>>>| versions.range(..end).next_back()?.1.clone();
        let mut stored: BTreeMap<_, _> =
            data.versions.iter().filter_map(|(key, versions)| Some((key.clone(), latest(versions)?))).collect();
        if flaw == Flaw::EmptyIsAbsent {
            stored.retain(|_, value| !value.is_empty());
        }
        Ok(stored)
    }

    async fn read_many(&self, mut keys: Vec<Vec<u8>>) -> Result<Vec<Option<Vec<u8>>>> {
        if self.engine.flaw == Flaw::SortsBatches {
            keys.sort();
        }
        let visible = self.visible().await?;
        self.note_read(keys.iter());
        Ok(keys.iter().map(|key| visible.get(key).cloned()).collect())
    }

    /// The entries of a range, the first or the last ones of it.
    async fn read_page(&self, range: KeyRange, direction: Direction, limit: usize) -> Result<Vec<KeyValue>> {
        let limit = match self.engine.flaw {
            Flaw::NeedsAnEnd if range.end.is_none() => 0,
            Flaw::ShortPages => limit - 1,
            _ => limit,
        };
        let mut entries = self.visible().await?;
        let includes_the_end = self.engine.flaw == Flaw::IncludesTheEnd;
        entries.retain(|key, _| range.contains(key) || (includes_the_end && Some(key) == range.end.as_ref()));
        let entries: Vec<KeyValue> = match direction {
            Direction::Ascending => entries.into_iter().take(limit).collect(),
            Direction::Descending => entries.into_iter().rev().take(limit).collect(),
        };
        self.note_read(entries.iter().map(|(key, _)| key));
        Ok(entries)
    }

    fn note_read<'a>(&self, keys: impl Iterator<Item = &'a Vec<u8>>) {
        if self.engine.flaw == Flaw::ReadsConflict {
            self.read.lock().unwrap_or_else(PoisonError::into_inner).extend(keys.cloned());
        }
    }

    fn check_commit(
        &self,
        data: &mut Data,
        writes: &mut BTreeMap<Vec<u8>, Mutation>,
        locks: &[Vec<u8>],
        commit: Timestamp,
    ) -> Result<()> {
        let (flaw, start) = (self.engine.flaw, self.start);
        let limit_millis = self.engine.settings.max_transaction_age.as_millis() as u64;
        let limit_millis = if flaw == Flaw::AgeLimitIsHalf { limit_millis / 2 } else { limit_millis };
        let age_millis = commit.millis_since(start);
        if age_millis > limit_millis && flaw != Flaw::IgnoresAge {
            return Err(TitoError::TransactionTooOld { age_millis, limit_millis });
        }
        let since = match flaw {
            Flaw::ConflictsWithThePast => Timestamp::from_raw(start.raw().saturating_sub(2)),
            _ => start,
        };
        let claimed_since = |key: &&Vec<u8>| data.claims.get(*key).is_some_and(|&claimed| claimed > since);
        let read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let met = match flaw {
            Flaw::ChecksNoConflicts => None,
            Flaw::ConflictsWithAnyCommit => data.claims.keys().find(claimed_since),
            _ => writes.keys().chain(locks).chain(&*read).find(claimed_since),
        };
        if let Some(key) = met.cloned() {
            if flaw == Flaw::LeavesHalfOfALoser
                && let Some((key, mutation)) = writes.first_key_value()
            {
                data.versions.entry(key.clone()).or_default().insert(commit, mutation.value.clone());
            }
            return Err(TitoError::Conflict { key: key.into() });
        }
        for (key, _) in writes.iter().filter(|(_, mutation)| mutation.must_be_new) {
            let latest = data.versions.get(key).and_then(|versions| versions.last_key_value());
            let exists = match flaw {
                Flaw::InsertIsPut | Flaw::ChecksNoConflicts => false,
                Flaw::InsertOfDeletedFails => latest.is_some(),
                Flaw::EmptyIsAbsent => {
                    latest.is_some_and(|(_, value)| value.as_ref().is_some_and(|value| !value.is_empty()))
                }
                _ => latest.is_some_and(|(_, value)| value.is_some()),
            };
            if exists {
                return Err(TitoError::AlreadyExists { key: key.as_slice().into() });
            }
        }
        Ok(())
    }

    async fn make(&self, mutations: Mutations, signals: Signals) -> Result<Timestamp> {
        tokio::task::yield_now().await;
        let (engine, flaw) = (&self.engine, self.engine.flaw);
        let Mutations { mut writes, mut locks, .. } = mutations;
        match flaw {
            Flaw::InsertIsLost => writes.retain(|_, mutation| !mutation.must_be_new),
            Flaw::IgnoresLocks => locks.clear(),
            Flaw::LocksWrite => {
                for key in &locks {
                    writes.insert(key.clone(), Mutation { value: Some(Vec::new()), must_be_new: false });
                }
            }
            Flaw::KeysAreText => {
                let text = |key: Vec<u8>| String::from_utf8_lossy(&key).into_owned().into_bytes();
                writes = writes.into_iter().map(|(key, mutation)| (text(key), mutation)).collect();
            }
            Flaw::ValuesAreText => {
                for value in writes.values_mut().filter_map(|mutation| mutation.value.as_mut()) {
                    *value = String::from_utf8_lossy(value).into_owned().into_bytes();
                }
            }
            _ => {}
        }
        let commit;
        {
            let mut data = engine.lock();
            commit = engine.next_timestamp(&mut data);
            if (writes.is_empty() && locks.is_empty() && flaw != Flaw::ReadsConflict) || flaw == Flaw::CommitIsLost {
                drop(data);
                if flaw != Flaw::LosesSignals {
                    engine.shared.deliver(signals, commit);
                }
                return Ok(if flaw == Flaw::AnswersAnotherTime { commit } else { self.start });
            }
            if let Err(error) = self.check_commit(&mut data, &mut writes, &locks, commit) {
                if flaw == Flaw::SignalsWithoutCommit {
                    engine.shared.deliver(signals, commit);
                }
                return Err(error);
            }
            if flaw != Flaw::CommitsInSteps {
                apply(&mut data, commit, std::mem::take(&mut writes), locks);
            }
        }
        if flaw == Flaw::CommitsInSteps {
            for (key, mutation) in writes {
                apply(&mut engine.lock(), commit, BTreeMap::from([(key, mutation)]), Vec::new());
                tokio::task::yield_now().await;
            }
        }
        if flaw != Flaw::LosesSignals {
            engine.shared.deliver(signals, commit);
        }
        Ok(commit)
    }
}

impl TitoTransaction for ReferenceTransaction {
    fn start_timestamp(&self) -> Timestamp {
        self.start
    }

    fn now(&self) -> Now {
        Now::from_millis(self.start.physical_millis())
    }

    fn get<'a>(&'a self, key: &'a [u8]) -> BoxFuture<'a, Result<Option<Vec<u8>>>> {
        async { Ok(self.read_many(vec![key.to_vec()]).await?.remove(0)) }.boxed()
    }

    fn batch_get(&self, keys: Vec<Vec<u8>>) -> BoxFuture<'_, Result<Vec<Option<Vec<u8>>>>> {
        self.read_many(keys).boxed()
    }

    fn scan(&self, range: KeyRange, direction: Direction, limit: usize) -> BoxFuture<'_, Result<Vec<KeyValue>>> {
        self.read_page(range, direction, limit).boxed()
    }

    fn version(&self) -> Option<SnapshotVersion> {
        (self.engine.flaw == Flaw::NothingChanges).then_some(SnapshotVersion(0))
    }

    fn is_unchanged(&self, _: &[u8], _: SnapshotVersion) -> bool {
        self.engine.flaw == Flaw::NothingChanges
    }

    fn commit(&self, mutations: Mutations, signals: Signals) -> BoxFuture<'_, Result<Timestamp>> {
        self.make(mutations, signals).boxed()
    }

    fn rollback(&self) -> BoxFuture<'_, ()> {
        std::future::ready(()).boxed()
    }
}
