//! The engine and the transaction that faults are injected into.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use futures::FutureExt;
use futures::future::BoxFuture;
use tito_core::clock::Clock;
use tito_core::engine::{
    Claim, DatabaseIdentity, Direction, KeyValue, Limits, Mutations, Shared, Signals, TitoEngine, TitoSnapshot,
    TitoTransaction,
};
use tito_core::keys::KeyRange;
use tito_core::{Database, KeyText, Now, Result, SharedError, Timestamp, TitoError};

use super::Call;
use super::rules::{Effect, Faults, Keys};

/// The engine of any database, with faults at the calls that a test chooses. What a transaction has written itself it
/// reads without a call.
///
/// ```
/// # use tito_test_engines as tito_testkit;
/// use tito_core::prelude::*;
/// use tito_testkit::{Call, FaultEngine, WithFaults};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), TitoError> {
/// let db = FaultEngine::new(tito_testkit::in_memory().await?).database();
/// db.faults().at(Call::Commit).unknown_after_effect();
///
/// let outcome = db.transaction(|tx| async move { tx.put(b"paid".to_vec(), vec![]).await }).await;
/// assert!(matches!(outcome, Err(TitoError::CommitUnknown { .. })));
/// assert!(db.begin().await?.get(b"paid").await?.is_some());
/// assert_eq!(db.faults().count(Call::Commit), 1);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct FaultEngine {
    inner: Database,
    faults: Faults,
    /// What hears of no commit, in place of the engine's own.
    deaf: Option<Shared>,
    /// This process's clock, where it is not the engine's.
    clock: Option<Arc<dyn Clock>>,
}

impl FaultEngine {
    /// Wraps the engine of a database. Nothing fails until [`Faults::at`] says so. Faults at random are the same in every
    /// run.
    pub fn new(inner: Database) -> Self {
        Self::seeded(inner, 0)
    }

    /// Wraps the engine of a database, with a seed for the faults at random.
    pub fn seeded(inner: Database, seed: u64) -> Self {
        Self { inner, faults: Faults::new(seed), deaf: None, clock: None }
    }

    /// Hides from workers what this process commits, and pretends that others write to the database as well: events
    /// are then found by polling and re-reading only, as those of other processes are.
    #[must_use]
    pub fn with_foreign_writers(self) -> Self {
        Self { deaf: Some(Shared::default()), ..self }
    }

    /// Gives this process a clock of its own, which may differ from the one that the engine draws its timestamps from,
    /// as the clocks of a cluster's machines do.
    #[must_use]
    pub fn with_clock(self, clock: Arc<dyn Clock>) -> Self {
        Self { clock: Some(clock), ..self }
    }

    /// The same database, with faults. [`WithFaults::faults`] says which.
    pub fn database(self) -> Database {
        Database::from_engine(self)
    }

    fn inner(&self) -> &dyn TitoEngine {
        &**self.inner.engine()
    }
}

/// A database with faults.
pub trait WithFaults {
    /// What is to go wrong, and how often each call was made.
    ///
    /// # Panics
    /// If the database is not one of a [`FaultEngine`].
    fn faults(&self) -> &Faults;

    /// The database without faults.
    ///
    /// # Panics
    /// If the database is not one of a [`FaultEngine`].
    fn without_faults(&self) -> &Database;
}

impl WithFaults for Database {
    fn faults(&self) -> &Faults {
        &fault_engine(self).faults
    }

    fn without_faults(&self) -> &Database {
        &fault_engine(self).inner
    }
}

#[allow(clippy::expect_used, reason = "a test that asks for faults where there are none can only fail")]
fn fault_engine(database: &Database) -> &FaultEngine {
    database.backend().expect("a database of a FaultEngine")
}

impl TitoEngine for FaultEngine {
    fn begin<'a>(
        &'a self,
        replayed: Option<&'a dyn TitoTransaction>,
    ) -> BoxFuture<'a, Result<Box<dyn TitoTransaction>>> {
        async move {
            let replayed = replayed.and_then(|replayed| (replayed as &dyn std::any::Any).downcast_ref());
            let replayed = replayed.map(|replayed: &FaultTransaction| &*replayed.inner);
            let fault = self.faults.meet(Call::Begin, Keys::None, self.inner.clock()).await;
            let inner = around(fault, Call::Begin, self.inner().begin(replayed)).await?;
            let (faults, clock) = (self.faults.clone(), self.inner.clock().clone());
            Ok(Box::new(FaultTransaction { inner, faults, clock, claimed: Mutex::default() }) as _)
        }
        .boxed()
    }

    fn snapshot(&self) -> BoxFuture<'_, Result<Box<dyn TitoSnapshot>>> {
        async {
            let fault = self.faults.meet(Call::Snapshot, Keys::None, self.inner.clock()).await;
            let inner = around(fault, Call::Snapshot, self.inner().snapshot()).await?;
            let (faults, clock) = (self.faults.clone(), self.inner.clock().clone());
            Ok(Box::new(FaultSnapshot { inner, faults, clock }) as _)
        }
        .boxed()
    }

    fn timestamp(&self) -> BoxFuture<'_, Result<Timestamp>> {
        async {
            let fault = self.faults.meet(Call::Timestamp, Keys::None, self.inner.clock()).await;
            around(fault, Call::Timestamp, self.inner().timestamp()).await
        }
        .boxed()
    }

    fn now(&self) -> BoxFuture<'_, Result<Now>> {
        async {
            let fault = self.faults.meet(Call::Timestamp, Keys::None, self.inner.clock()).await;
            around(fault, Call::Timestamp, self.inner().now()).await
        }
        .boxed()
    }

    fn clock(&self) -> &Arc<dyn Clock> {
        self.clock.as_ref().unwrap_or_else(|| self.inner.clock())
    }

    fn limits(&self) -> &Limits {
        self.inner.limits()
    }

    fn max_transaction_age_millis(&self) -> u64 {
        self.inner.max_transaction_age_millis()
    }

    fn oldest_live_start(&self) -> Option<Timestamp> {
        // A commit that a gate holds was asked for, and has no answer yet.
        [self.inner.oldest_live_start(), self.faults.oldest_commit()].into_iter().flatten().min()
    }

    fn identity(&self) -> Option<&DatabaseIdentity> {
        self.inner.identity()
    }

    fn wrapped(&self) -> Option<&dyn TitoEngine> {
        Some(self.inner())
    }

    fn is_durable(&self) -> bool {
        self.inner.is_durable()
    }

    fn is_only_writer(&self) -> bool {
        self.deaf.is_none() && self.inner.is_only_writer()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        self.inner().close()
    }

    fn closed(&self) -> BoxFuture<'_, TitoError> {
        async {
            tokio::select! {
                closed = self.faults.closed() => closed,
                closed = self.inner.closed() => closed,
            }
        }
        .boxed()
    }

    fn shared(&self) -> &Shared {
        self.deaf.as_ref().unwrap_or_else(|| self.inner.shared())
    }
}

/// A transaction of a [`FaultEngine`].
struct FaultTransaction {
    inner: Box<dyn TitoTransaction>,
    faults: Faults,
    clock: Arc<dyn Clock>,
    /// The keys written or locked, for rules about commits.
    claimed: Mutex<Vec<Vec<u8>>>,
}

impl FaultTransaction {
    async fn call<R>(&self, call: Call, keys: Keys<'_>, operation: impl Future<Output = Result<R>>) -> Result<R> {
        let key = KeyText::from(keys.first());
        let fault = self.faults.meet(call, keys, &self.clock).await;
        if let Some(Failure::Conflict) = fault {
            self.inner.rollback().await;
            return Err(TitoError::Conflict { key });
        }
        around(fault, call, operation).await
    }

    async fn claim_keys(&self, keys: &[Vec<u8>], purpose: Claim) -> Result<()> {
        let call = match purpose {
            Claim::Put => Call::Put,
            Claim::Insert => Call::Insert,
            Claim::Delete => Call::Delete,
            Claim::Lock => Call::Lock,
        };
        let claim = async {
            match self.inner.claim(keys, purpose) {
                Some(claimed) => claimed.await,
                None => Ok(()),
            }
        };
        self.call(call, Keys::Many(keys), claim).await?;
        self.claimed.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(keys);
        Ok(())
    }

    async fn read_page(&self, range: KeyRange, direction: Direction, limit: usize) -> Result<Vec<KeyValue>> {
        let page = self.inner.scan(range.clone(), direction, limit);
        let page = self.call(Call::Scan, Keys::Range(&range), page).await?;
        self.faults.note_rows(page.len());
        Ok(page)
    }

    async fn commit(&self, mutations: Mutations, signals: Signals) -> Result<Timestamp> {
        let written = self.claimed.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let _committing = self.faults.begin_commit(self.inner.start_timestamp());
        let fault = self.faults.meet(Call::Commit, Keys::Many(&written), &self.clock).await;
        let unknown = || TitoError::CommitUnknown { source: injected(Call::Commit) };
        match fault {
            None => self.inner.commit(mutations, signals).await,
            Some(Failure::LostAnswer) => {
                // A commit that was refused is not an unknown one, so its own error is the answer.
                self.inner.commit(mutations, signals).await?;
                Err(unknown())
            }
            Some(failure) => {
                self.inner.rollback().await;
                Err(match failure {
                    Failure::Conflict => TitoError::Conflict { key: KeyText::from(Keys::Many(&written).first()) },
                    Failure::StorageError => storage_error(Call::Commit),
                    Failure::LostAnswer | Failure::LostRequest => unknown(),
                    Failure::Closed(closed) => closed,
                })
            }
        }
    }
}

impl TitoTransaction for FaultTransaction {
    fn start_timestamp(&self) -> Timestamp {
        self.inner.start_timestamp()
    }

    fn now(&self) -> Now {
        self.inner.now()
    }

    fn get<'a>(&'a self, key: &'a [u8]) -> BoxFuture<'a, Result<Option<Vec<u8>>>> {
        async move {
            let value = self.call(Call::Get, Keys::One(key), self.inner.get(key)).await?;
            self.faults.note_rows(usize::from(value.is_some()));
            Ok(value)
        }
        .boxed()
    }

    fn batch_get(&self, keys: Vec<Vec<u8>>) -> BoxFuture<'_, Result<Vec<Option<Vec<u8>>>>> {
        async move {
            let values = self.call(Call::BatchGet, Keys::Many(&keys), self.inner.batch_get(keys.clone())).await?;
            self.faults.note_rows(values.iter().flatten().count());
            Ok(values)
        }
        .boxed()
    }

    fn scan(&self, range: KeyRange, direction: Direction, limit: usize) -> BoxFuture<'_, Result<Vec<KeyValue>>> {
        self.read_page(range, direction, limit).boxed()
    }

    fn claim<'a>(&'a self, keys: &'a [Vec<u8>], purpose: Claim) -> Option<BoxFuture<'a, Result<()>>> {
        Some(self.claim_keys(keys, purpose).boxed())
    }

    fn commit(&self, mutations: Mutations, signals: Signals) -> BoxFuture<'_, Result<Timestamp>> {
        self.commit(mutations, signals).boxed()
    }

    fn rollback(&self) -> BoxFuture<'_, ()> {
        self.inner.rollback()
    }
}

/// A snapshot of a [`FaultEngine`].
struct FaultSnapshot {
    inner: Box<dyn TitoSnapshot>,
    faults: Faults,
    clock: Arc<dyn Clock>,
}

impl TitoSnapshot for FaultSnapshot {
    fn timestamp(&self) -> Timestamp {
        self.inner.timestamp()
    }

    fn batch_get(&self, keys: Vec<Vec<u8>>) -> BoxFuture<'_, Result<Vec<Option<Vec<u8>>>>> {
        async move {
            let fault = self.faults.meet(Call::BatchGet, Keys::Many(&keys), &self.clock).await;
            let values = around(fault, Call::BatchGet, self.inner.batch_get(keys)).await?;
            self.faults.note_rows(values.iter().flatten().count());
            Ok(values)
        }
        .boxed()
    }

    fn scan(
        &self,
        range: KeyRange,
        direction: Direction,
        limit: usize,
        bytes: usize,
    ) -> BoxFuture<'_, Result<Vec<KeyValue>>> {
        async move {
            let fault = self.faults.meet(Call::Scan, Keys::Range(&range), &self.clock).await;
            let page = around(fault, Call::Scan, self.inner.scan(range.clone(), direction, limit, bytes)).await?;
            self.faults.note_rows(page.len());
            Ok(page)
        }
        .boxed()
    }

    fn release(self: Box<Self>) -> BoxFuture<'static, Result<()>> {
        self.inner.release()
    }
}

/// What is left of an [`Effect`] once the waits are over.
#[derive(Debug)]
enum Failure {
    Conflict,
    StorageError,
    LostAnswer,
    LostRequest,
    Closed(TitoError),
}

impl Faults {
    /// Counts a call, waits if a rule says so, and says how the call is to fail.
    async fn meet(&self, call: Call, keys: Keys<'_>, clock: &Arc<dyn Clock>) -> Option<Failure> {
        tokio::select! {
            biased;
            closed = self.closed() => Some(Failure::Closed(closed)),
            failure = self.meet_rule(call, keys, clock) => failure,
        }
    }

    async fn meet_rule(&self, call: Call, keys: Keys<'_>, clock: &Arc<dyn Clock>) -> Option<Failure> {
        match self.decide(call, &keys)? {
            Effect::Conflict => Some(Failure::Conflict),
            Effect::StorageError => Some(Failure::StorageError),
            Effect::LostAnswer => Some(Failure::LostAnswer),
            Effect::LostRequest => Some(Failure::LostRequest),
            Effect::Delay(duration) => {
                let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
                clock.wait_until_monotonic(clock.monotonic_millis().saturating_add(millis)).await;
                None
            }
            Effect::Hold(gate) => {
                gate.pass().await;
                None
            }
        }
    }
}

/// Makes a call that is no commit, or fails it.
async fn around<R>(fault: Option<Failure>, call: Call, operation: impl Future<Output = Result<R>>) -> Result<R> {
    match fault {
        None => operation.await,
        Some(Failure::LostAnswer) => {
            operation.await?;
            Err(storage_error(call))
        }
        Some(Failure::Conflict) => Err(TitoError::Conflict { key: KeyText::from(Vec::new()) }),
        Some(Failure::StorageError | Failure::LostRequest) => Err(storage_error(call)),
        Some(Failure::Closed(closed)) => Err(closed),
    }
}

fn storage_error(call: Call) -> TitoError {
    TitoError::Storage { operation: "a call that a test made fail", source: injected(call) }
}

fn injected(call: Call) -> SharedError {
    format!("a fault was injected at {call:?}").into()
}
