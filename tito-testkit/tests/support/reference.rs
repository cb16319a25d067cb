//! A second engine: a sorted map of versions behind a mutex, as simple as the contract allows. The suite passes on it,
//! and fails on it when one of its flaws is turned on.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use tito_core::clock::Clock;
use tito_core::engine::{EngineContext, KeyValue, Limits, Outbox};
use tito_core::keys::KeyRange;
use tito_core::{KeyText, Result, Timestamp, TitoEngine, TitoError, TitoTransaction};
use tito_testkit::EngineSettings;

use crate::flaw::Flaw;

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
    context: EngineContext,
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
        Self(Arc::new(Engine { flaw, data, settings, context: EngineContext::default() }))
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
    type Transaction = ReferenceTransaction;

    async fn begin(&self) -> Result<ReferenceTransaction> {
        tokio::task::yield_now().await;
        let start = self.0.next_timestamp(&mut self.0.lock());
        Ok(ReferenceTransaction(Arc::new(Transaction {
            engine: self.0.clone(),
            start,
            buffer: Mutex::new(Some(Buffer::default())),
            outbox: Outbox::default(),
        })))
    }

    async fn timestamp(&self) -> Result<Timestamp> {
        Ok(self.0.next_timestamp(&mut self.0.lock()))
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

    fn context(&self) -> &EngineContext {
        &self.0.context
    }
}

#[derive(Clone)]
pub(crate) struct ReferenceTransaction(Arc<Transaction>);

struct Transaction {
    engine: Arc<Engine>,
    start: Timestamp,
    /// None once the transaction has ended.
    buffer: Mutex<Option<Buffer>>,
    outbox: Outbox,
}

#[derive(Clone, Debug, Default)]
struct Buffer {
    writes: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    inserted: BTreeSet<Vec<u8>>,
    /// Everything written or locked.
    claimed: BTreeSet<Vec<u8>>,
}

impl Buffer {
    fn bytes(&self) -> usize {
        self.writes.iter().map(|(key, value)| key.len() + value.as_ref().map_or(0, Vec::len)).sum()
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        if let Some(buffer) = self.take()
            && self.engine.flaw == Flaw::DropCommits
        {
            let mut data = self.engine.lock();
            let commit = self.engine.next_timestamp(&mut data);
            apply(&mut data, commit, buffer);
        }
    }
}

fn apply(data: &mut Data, commit: Timestamp, buffer: Buffer) {
    for (key, value) in buffer.writes {
        data.versions.entry(key).or_default().insert(commit, value);
    }
    data.claims.extend(buffer.claimed.into_iter().map(|key| (key, commit)));
}

impl Transaction {
    fn buffer(&self) -> MutexGuard<'_, Option<Buffer>> {
        self.buffer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self) -> Option<Buffer> {
        self.buffer().take()
    }

    fn with_buffer<R>(&self, f: impl FnOnce(&mut Buffer) -> R) -> Result<R> {
        self.buffer().as_mut().map(f).ok_or(TitoError::TransactionEnded)
    }

    /// The stored entries that the transaction sees, its own writes aside.
    fn stored(&self) -> BTreeMap<Vec<u8>, Vec<u8>> {
        let flaw = self.engine.flaw;
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
        stored
    }

    /// What a read sees: `stored`, perhaps cut already, under the transaction's own writes.
    async fn visible(&self, cut: impl Fn(&mut BTreeMap<Vec<u8>, Vec<u8>>)) -> Result<BTreeMap<Vec<u8>, Vec<u8>>> {
        let flaw = self.engine.flaw;
        let buffer = self.with_buffer(|buffer| buffer.clone())?;
        if flaw == Flaw::CancelledReadEnds {
            self.take();
        }
        tokio::task::yield_now().await;
        if flaw == Flaw::CancelledReadEnds {
            *self.buffer() = Some(buffer.clone());
        }
        let mut visible = self.stored();
        if flaw == Flaw::LimitBeforeMerge {
            cut(&mut visible);
        }
        if flaw != Flaw::BlindToOwnWrites {
            for (key, value) in buffer.writes {
                match value {
                    Some(value) => visible.insert(key, value),
                    None => visible.remove(&key),
                };
            }
        }
        Ok(visible)
    }

    /// The entries of a range, the first or the last ones of it.
    async fn scan(&self, range: KeyRange, limit: usize, reverse: bool) -> Result<Vec<KeyValue>> {
        let flaw = self.engine.flaw;
        let limit = if flaw == Flaw::LimitOfZeroIsOne { limit.max(1) } else { limit };
        let limit = if flaw == Flaw::NeedsAnEnd && range.end.is_none() { 0 } else { limit };
        let includes =
            |key: &Vec<u8>| range.contains(key) || (flaw == Flaw::IncludesTheEnd && Some(key) == range.end.as_ref());
        let cut = |entries: &mut BTreeMap<Vec<u8>, Vec<u8>>| {
            entries.retain(|key, _| includes(key));
            while entries.len() > limit {
                if reverse {
                    entries.pop_first()
                } else {
                    entries.pop_last()
                };
            }
        };
        let mut entries = self.visible(cut).await?;
        cut(&mut entries);
        self.note_read(entries.keys());
        Ok(if reverse { entries.into_iter().rev().collect() } else { entries.into_iter().collect() })
    }

    fn note_read<'a>(&self, keys: impl Iterator<Item = &'a Vec<u8>>) {
        if self.engine.flaw == Flaw::ReadsConflict
            && let Some(buffer) = self.buffer().as_mut()
        {
            buffer.claimed.extend(keys.cloned());
        }
    }

    /// Buffers a write after checking the limits.
    fn write(&self, key: Vec<u8>, value: Option<Vec<u8>>, inserts: bool) -> Result<()> {
        let flaw = self.engine.flaw;
        let lower = usize::from(flaw == Flaw::LimitsAreOneLower);
        let (key, value) = match flaw {
            Flaw::KeysAreText => (String::from_utf8_lossy(&key).into_owned().into_bytes(), value),
            Flaw::ValuesAreText => (key, value.map(|value| String::from_utf8_lossy(&value).into_owned().into_bytes())),
            _ => (key, value),
        };
        let limits = &self.engine.settings.limits;
        let check = |result: Result<()>| if flaw == Flaw::IgnoresLimits { Ok(()) } else { result };
        self.with_buffer(|buffer| {
            check(limits.check_entry(&key, value.as_ref().map_or(0, |value| value.len() + lower)))?;
            let mut next = buffer.clone();
            next.claimed.insert(key.clone());
            if inserts {
                next.inserted.insert(key.clone());
            }
            let is_lost = match flaw {
                Flaw::InsertIsLost => inserts,
                Flaw::InsertCannotBeOverwritten => !inserts && buffer.inserted.contains(&key),
                _ => false,
            };
            if !is_lost {
                next.writes.insert(key.clone(), value);
            }
            check(limits.check_transaction(next.claimed.len() + lower, next.bytes() + lower, &key))?;
            *buffer = next;
            Ok(())
        })?
    }

    fn check_insert(&self, key: &[u8]) -> Result<()> {
        let flaw = self.engine.flaw;
        let own = self.with_buffer(|buffer| buffer.writes.get(key).cloned())?;
        let exists = match own {
            _ if flaw == Flaw::InsertIsPut => false,
            Some(None) if flaw != Flaw::InsertIgnoresOwnDelete => false,
            Some(Some(_)) => true,
            _ => self.stored().contains_key(key),
        };
        let was_deleted = flaw == Flaw::InsertOfDeletedFails && self.engine.lock().versions.contains_key(key);
        if exists || was_deleted { Err(TitoError::AlreadyExists { key: KeyText::from(key) }) } else { Ok(()) }
    }

    fn check_commit(&self, data: &mut Data, buffer: &Buffer, commit: Timestamp) -> Result<()> {
        let (flaw, start) = (self.engine.flaw, self.start);
        let limit_millis = self.engine.settings.max_transaction_age.as_millis() as u64;
        let limit_millis = if flaw == Flaw::AgeLimitIsHalf { limit_millis / 2 } else { limit_millis };
        let age_millis = commit.millis_since(start);
        if age_millis > limit_millis && flaw != Flaw::IgnoresAge {
            return Err(TitoError::TransactionTooOld { age_millis, limit_millis });
        }
        let since = match flaw {
            Flaw::ChecksNoConflicts => return Ok(()),
            Flaw::ConflictsWithThePast => Timestamp::from_raw(start.raw().saturating_sub(2)),
            _ => start,
        };
        let claimed_since = |key: &&Vec<u8>| data.claims.get(*key).is_some_and(|&claimed| claimed > since);
        let met = match flaw {
            Flaw::ConflictsWithAnyCommit => data.claims.keys().find(claimed_since),
            _ => buffer.claimed.iter().find(claimed_since),
        };
        let Some(key) = met.cloned() else { return Ok(()) };
        if flaw == Flaw::LeavesHalfOfALoser
            && let Some((key, value)) = buffer.writes.first_key_value()
        {
            data.versions.entry(key.clone()).or_default().insert(commit, value.clone());
        }
        Err(TitoError::Conflict { key: key.into() })
    }
}

impl TitoTransaction for ReferenceTransaction {
    fn start_timestamp(&self) -> Timestamp {
        self.0.start
    }

    async fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        Ok(self.batch_get(vec![key.to_vec()]).await?.remove(0))
    }

    async fn batch_get(&self, mut keys: Vec<Vec<u8>>) -> Result<Vec<Option<Vec<u8>>>> {
        if self.0.engine.flaw == Flaw::SortsBatches {
            keys.sort();
        }
        let visible = self.0.visible(|_| {}).await?;
        self.0.note_read(keys.iter());
        Ok(keys.iter().map(|key| visible.get(key).cloned()).collect())
    }

    async fn scan(&self, range: KeyRange, limit: usize) -> Result<Vec<KeyValue>> {
        self.0.scan(range, limit, false).await
    }

    async fn scan_reverse(&self, range: KeyRange, limit: usize) -> Result<Vec<KeyValue>> {
        self.0.scan(range, limit, true).await
    }

    async fn put(&self, key: Vec<u8>, value: Vec<u8>) -> Result<()> {
        self.0.write(key, Some(value), false)
    }

    async fn insert(&self, key: Vec<u8>, value: Vec<u8>) -> Result<()> {
        self.0.check_insert(&key)?;
        self.0.write(key, Some(value), true)
    }

    async fn delete(&self, key: Vec<u8>) -> Result<()> {
        self.0.write(key, None, false)
    }

    async fn lock_keys(&self, keys: Vec<Vec<u8>>) -> Result<()> {
        for key in keys {
            if self.0.engine.flaw == Flaw::IgnoresLocks {
                self.0.with_buffer(|_| ())?;
                continue;
            }
            if self.0.engine.flaw == Flaw::LocksWrite {
                self.0.write(key.clone(), Some(Vec::new()), false)?;
            }
            let limits = &self.0.engine.settings.limits;
            let ignores = self.0.engine.flaw == Flaw::IgnoresLimits;
            self.0.with_buffer(|buffer| {
                buffer.claimed.insert(key.clone());
                let checked = limits
                    .check_entry(&key, 0)
                    .and_then(|()| limits.check_transaction(buffer.claimed.len(), buffer.bytes(), &key));
                if ignores { Ok(()) } else { checked }
            })??;
        }
        Ok(())
    }

    fn outbox(&self) -> &Outbox {
        &self.0.outbox
    }

    async fn commit(&self) -> Result<Timestamp> {
        tokio::task::yield_now().await;
        let (engine, flaw) = (&self.0.engine, self.0.engine.flaw);
        let buffer = self.0.take().ok_or(TitoError::TransactionEnded)?;
        if flaw == Flaw::NeverEnds {
            *self.0.buffer() = Some(Buffer::default());
        }
        let commit;
        {
            let mut data = engine.lock();
            commit = engine.next_timestamp(&mut data);
            if buffer.claimed.is_empty() || flaw == Flaw::CommitIsLost {
                return Ok(commit);
            }
            self.0.check_commit(&mut data, &buffer, commit)?;
            if flaw != Flaw::CommitsInSteps {
                apply(&mut data, commit, buffer.clone());
            }
        }
        if flaw == Flaw::CommitsInSteps {
            for (key, value) in buffer.writes {
                let step = Buffer { claimed: [key.clone()].into(), writes: [(key, value)].into(), ..Buffer::default() };
                apply(&mut engine.lock(), commit, step);
                tokio::task::yield_now().await;
            }
        }
        engine.context.wakeups.deliver(self.0.outbox.take_announcements());
        Ok(commit)
    }

    async fn rollback(&self) {
        if self.0.engine.flaw == Flaw::RollbackCommits {
            // A commit of what was to be rolled back.
            let _ = self.commit().await;
        } else if self.0.engine.flaw == Flaw::NeverEnds {
            self.0.with_buffer(|buffer| *buffer = Buffer::default()).unwrap_or_default();
        } else {
            self.0.take();
        }
    }
}
