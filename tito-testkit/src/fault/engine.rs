//! The engine and the transaction that faults are injected into.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use tito_core::clock::Clock;
use tito_core::engine::{EngineContext, KeyValue, Limits, Outbox};
use tito_core::keys::KeyRange;
use tito_core::{BoxError, KeyText, Result, Timestamp, TitoEngine, TitoError, TitoTransaction};

use super::Call;
use super::rules::{Effect, Faults, Keys};

/// Any engine, with faults at the calls that a test chooses.
///
/// ```
/// use tito_core::prelude::*;
/// use tito_testkit::{Call, FaultEngine};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), TitoError> {
/// let db = FaultEngine::new(tito_testkit::in_memory().await?);
/// db.faults().at(Call::Commit).unknown_after_effect();
///
/// let outcome = db.transaction(|tx| async move { tx.put(b"paid".to_vec(), vec![]).await }).await;
/// assert!(matches!(outcome, Err(TitoError::CommitUnknown { .. })));
/// assert!(db.begin().await?.get(b"paid").await?.is_some());
/// assert_eq!(db.faults().count(Call::Commit), 1);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct FaultEngine<E> {
    inner: E,
    faults: Faults,
    /// A context that hears of no commit, in place of the engine's own.
    deaf: Option<Arc<EngineContext>>,
    /// This process's clock, where it is not the engine's.
    clock: Option<Arc<dyn Clock>>,
}

impl<E: TitoEngine> FaultEngine<E> {
    /// Wraps an engine. Nothing fails until [`Faults::at`] says so. Faults at random are the same in every run.
    pub fn new(inner: E) -> Self {
        Self::seeded(inner, 0)
    }

    /// Wraps an engine, with a seed for the faults at random.
    pub fn seeded(inner: E, seed: u64) -> Self {
        Self { inner, faults: Faults::new(seed), deaf: None, clock: None }
    }

    /// Hides from workers what this process commits, and pretends that others write to the database as well: events
    /// are then found by polling and re-reading only, as those of other processes are.
    #[must_use]
    pub fn with_foreign_writers(self) -> Self {
        Self { deaf: Some(Arc::default()), ..self }
    }

    /// Gives this process a clock of its own, which may differ from the one that the engine draws its timestamps from,
    /// as the clocks of a cluster's machines do.
    #[must_use]
    pub fn with_clock(self, clock: Arc<dyn Clock>) -> Self {
        Self { clock: Some(clock), ..self }
    }

    /// What is to go wrong, and how often each call was made.
    pub fn faults(&self) -> &Faults {
        &self.faults
    }

    /// The engine without faults.
    pub fn inner(&self) -> &E {
        &self.inner
    }
}

impl<E: TitoEngine> TitoEngine for FaultEngine<E> {
    type Transaction = FaultTransaction<E::Transaction>;

    async fn begin(&self) -> Result<Self::Transaction> {
        let fault = self.faults.meet(Call::Begin, Keys::None, self.inner.clock()).await;
        let inner = around(fault, Call::Begin, self.inner.begin()).await?;
        Ok(FaultTransaction {
            inner,
            faults: self.faults.clone(),
            clock: self.inner.clock().clone(),
            shared: Arc::default(),
        })
    }

    async fn timestamp(&self) -> Result<Timestamp> {
        let fault = self.faults.meet(Call::Timestamp, Keys::None, self.inner.clock()).await;
        around(fault, Call::Timestamp, self.inner.timestamp()).await
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
        self.inner.oldest_live_start()
    }

    fn is_durable(&self) -> bool {
        self.inner.is_durable()
    }

    fn is_only_writer(&self) -> bool {
        self.deaf.is_none() && self.inner.is_only_writer()
    }

    async fn closed(&self) -> TitoError {
        self.inner.closed().await
    }

    fn context(&self) -> &EngineContext {
        self.deaf.as_deref().unwrap_or_else(|| self.inner.context())
    }
}

/// A transaction of a [`FaultEngine`].
#[derive(Clone, Debug)]
pub struct FaultTransaction<T> {
    inner: T,
    faults: Faults,
    clock: Arc<dyn Clock>,
    shared: Arc<Mutex<Shared>>,
}

/// What the handles of one transaction share.
#[derive(Debug, Default)]
struct Shared {
    /// The keys written or locked, for rules about commits.
    written: Vec<Vec<u8>>,
    /// The key of the first conflict that was injected.
    conflict: Option<KeyText>,
}

impl<T: TitoTransaction> FaultTransaction<T> {
    async fn call<R>(&self, call: Call, keys: Keys<'_>, operation: impl Future<Output = Result<R>>) -> Result<R> {
        let key = KeyText::from(keys.first());
        let fault = self.faults.meet(call, keys, &self.clock).await;
        if let Some(Failure::Conflict) = fault {
            self.inner.rollback().await;
            self.with_shared(|shared| shared.conflict = Some(key.clone()));
            return Err(TitoError::Conflict { key });
        }
        around(fault, call, operation).await
    }

    async fn write<R>(&self, call: Call, keys: Vec<Vec<u8>>, operation: impl Future<Output = Result<R>>) -> Result<R> {
        let result = self.call(call, Keys::Many(&keys), operation).await;
        if result.is_ok() {
            self.with_shared(|shared| shared.written.extend(keys));
        }
        result
    }

    fn with_shared<R>(&self, f: impl FnOnce(&mut Shared) -> R) -> R {
        f(&mut self.shared.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl<T: TitoTransaction> TitoTransaction for FaultTransaction<T> {
    fn start_timestamp(&self) -> Timestamp {
        self.inner.start_timestamp()
    }

    async fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        let value = self.call(Call::Get, Keys::One(key), self.inner.get(key)).await?;
        self.faults.note_rows(usize::from(value.is_some()));
        Ok(value)
    }

    async fn batch_get(&self, keys: Vec<Vec<u8>>) -> Result<Vec<Option<Vec<u8>>>> {
        let values = self.call(Call::BatchGet, Keys::Many(&keys), self.inner.batch_get(keys.clone())).await?;
        self.faults.note_rows(values.iter().flatten().count());
        Ok(values)
    }

    async fn scan(&self, range: KeyRange, limit: usize) -> Result<Vec<KeyValue>> {
        let page = self.call(Call::Scan, Keys::Range(&range), self.inner.scan(range.clone(), limit)).await?;
        self.faults.note_rows(page.len());
        Ok(page)
    }

    async fn scan_reverse(&self, range: KeyRange, limit: usize) -> Result<Vec<KeyValue>> {
        let page = self.call(Call::Scan, Keys::Range(&range), self.inner.scan_reverse(range.clone(), limit)).await?;
        self.faults.note_rows(page.len());
        Ok(page)
    }

    async fn put(&self, key: Vec<u8>, value: Vec<u8>) -> Result<()> {
        self.write(Call::Put, vec![key.clone()], self.inner.put(key, value)).await
    }

    async fn insert(&self, key: Vec<u8>, value: Vec<u8>) -> Result<()> {
        self.write(Call::Insert, vec![key.clone()], self.inner.insert(key, value)).await
    }

    async fn delete(&self, key: Vec<u8>) -> Result<()> {
        self.write(Call::Delete, vec![key.clone()], self.inner.delete(key)).await
    }

    async fn lock_keys(&self, keys: Vec<Vec<u8>>) -> Result<()> {
        self.write(Call::Lock, keys.clone(), self.inner.lock_keys(keys)).await
    }

    fn met_conflict(&self) -> Option<TitoError> {
        let injected = self.with_shared(|shared| shared.conflict.clone());
        injected.map(|key| TitoError::Conflict { key }).or_else(|| self.inner.met_conflict())
    }

    fn outbox(&self) -> &Outbox {
        self.inner.outbox()
    }

    async fn commit(&self) -> Result<Timestamp> {
        let written = self.with_shared(|shared| shared.written.clone());
        let fault = self.faults.meet(Call::Commit, Keys::Many(&written), &self.clock).await;
        let unknown = || TitoError::CommitUnknown { source: injected(Call::Commit) };
        match fault {
            None => self.inner.commit().await,
            Some(Failure::LostAnswer) => {
                // A commit that was refused is not an unknown one, so its own error is the answer.
                self.inner.commit().await?;
                Err(unknown())
            }
            Some(failure) => {
                self.inner.rollback().await;
                Err(match failure {
                    Failure::Conflict => TitoError::Conflict { key: KeyText::from(Keys::Many(&written).first()) },
                    Failure::StorageError => storage_error(Call::Commit),
                    Failure::LostAnswer | Failure::LostRequest => unknown(),
                })
            }
        }
    }

    async fn rollback(&self) {
        self.inner.rollback().await;
    }
}

/// What is left of an [`Effect`] once the waits are over.
#[derive(Debug)]
enum Failure {
    Conflict,
    StorageError,
    LostAnswer,
    LostRequest,
}

impl Faults {
    /// Counts a call, waits if a rule says so, and says how the call is to fail.
    async fn meet(&self, call: Call, keys: Keys<'_>, clock: &Arc<dyn Clock>) -> Option<Failure> {
        match self.decide(call, &keys)? {
            Effect::Conflict => Some(Failure::Conflict),
            Effect::StorageError => Some(Failure::StorageError),
            Effect::LostAnswer => Some(Failure::LostAnswer),
            Effect::LostRequest => Some(Failure::LostRequest),
            Effect::Delay(duration) => {
                let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
                clock.wait_until(clock.now_millis().saturating_add(millis)).await;
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
    }
}

fn storage_error(call: Call) -> TitoError {
    TitoError::Storage { operation: "a call that a test made fail", source: injected(call) }
}

fn injected(call: Call) -> BoxError {
    format!("a fault was injected at {call:?}").into()
}
