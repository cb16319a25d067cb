//! The transaction that faults are injected into.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use futures::FutureExt;
use futures::future::BoxFuture;
use tito_core::clock::Clock;
use tito_core::engine::{Claim, Direction, KeyValue, Mutations, Signals, SnapshotVersion, TitoTransaction};
use tito_core::keys::KeyRange;
use tito_core::{KeyText, Now, Result, Timestamp, TitoError};

use super::Call;
use super::failure::{Failure, around, injected, storage_error};
use super::rules::{Faults, Keys};

/// A transaction of a [`FaultEngine`].
pub(super) struct FaultTransaction {
    pub(super) inner: Box<dyn TitoTransaction>,
    faults: Faults,
    clock: Arc<dyn Clock>,
    /// The keys written or locked, for rules about commits.
    claimed: Mutex<Vec<Vec<u8>>>,
}

impl FaultTransaction {
    pub(super) fn new(inner: Box<dyn TitoTransaction>, faults: Faults, clock: Arc<dyn Clock>) -> Self {
        Self { inner, faults, clock, claimed: Mutex::default() }
    }

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

    fn version(&self) -> Option<SnapshotVersion> {
        self.inner.version()
    }

    fn is_unchanged(&self, key: &[u8], since: SnapshotVersion) -> bool {
        self.inner.is_unchanged(key, since)
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
