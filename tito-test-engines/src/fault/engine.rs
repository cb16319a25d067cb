//! The engine that faults are injected into.

use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use tito_core::clock::Clock;
use tito_core::engine::{DatabaseIdentity, Limits, Shared, TitoEngine, TitoSnapshot, TitoTransaction};
use tito_core::{Database, Now, Result, Timestamp, TitoError};

use super::Call;
use super::failure::around;
use super::rules::{Faults, Keys};
use super::snapshot::FaultSnapshot;
use super::transaction::FaultTransaction;

/// The engine of any database, with faults at the calls that a test selects. A transaction reads its own writes without
/// a call.
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
    /// A stand-in for the engine's signals that hears of no commit.
    deaf: Option<Shared>,
    /// This process's clock, if it is not the engine's.
    clock: Option<Arc<dyn Clock>>,
}

impl FaultEngine {
    /// Wraps the engine of a database. Nothing fails until [`Faults::at`] says so. Random faults are the same in every
    /// run.
    pub fn new(inner: Database) -> Self {
        Self::seeded(inner, 0)
    }

    /// Wraps the engine of a database, with a seed for random faults.
    pub fn seeded(inner: Database, seed: u64) -> Self {
        Self { inner, faults: Faults::new(seed), deaf: None, clock: None }
    }

    /// Hides this process's commits from workers, and pretends that others write to the database as well: workers then
    /// find events only by polling and re-reading, as they do with those of other processes.
    #[must_use]
    pub fn with_foreign_writers(self) -> Self {
        Self { deaf: Some(Shared::default()), ..self }
    }

    /// Gives this process a clock of its own, which may differ from the one that gives the engine its timestamps, as
    /// the clocks of a cluster's machines may.
    #[must_use]
    pub fn with_clock(self, clock: Arc<dyn Clock>) -> Self {
        Self { clock: Some(clock), ..self }
    }

    /// The same database, with faults. [`WithFaults::faults`] gives access to them.
    pub fn database(self) -> Database {
        Database::from_engine(self)
    }

    fn inner(&self) -> &dyn TitoEngine {
        &**self.inner.engine()
    }
}

/// A database with faults.
pub trait WithFaults {
    /// The faults to inject, and how often each call was made.
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
            Ok(Box::new(FaultTransaction::new(inner, self.faults.clone(), self.inner.clock().clone())) as _)
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
        // A commit held by a gate was requested and has no answer yet.
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
