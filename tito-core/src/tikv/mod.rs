//! The engine for a TiKV cluster, on the client `tito-tikv`.
//!
//! The client knows the cluster and its protocol: where keys are, what to retry and for how long, others' locks, and
//! the outcome of a commit. The engine gives it keys with a prefix, and translates its answers into the terms of the
//! contract.
//!
//! | file | idea |
//! |---|---|
//! | `builder` | settings |
//! | `prefix` | the engine's keys among those of the cluster |
//! | `transaction` | reads of a snapshot, and a commit |
//! | `guards` | the locks of pessimistic transactions |
//! | `kept` | snapshots that are kept from the collection of garbage |
//! | `age` | how old a transaction is |
//! | `tasks` | what goes on when its caller is gone |
//! | `maintenance` | garbage collection, safe points, deletion of ranges |
//! | `error` | what the client's errors are to the layers above |

mod age;
mod builder;
mod error;
mod guards;
mod kept;
mod maintenance;
mod prefix;
mod tasks;
mod transaction;

use std::any::Any;
use std::fmt;
use std::sync::{Arc, OnceLock};

use futures::FutureExt;
use futures::future::BoxFuture;
use tito_tikv::Client;
use tokio::sync::watch;

use self::error::failed;
use self::kept::KeptSnapshot;
use self::prefix::KeyPrefix;
use self::tasks::Tasks;
use crate::clock::Clock;
use crate::database::Database;
use crate::engine::{DatabaseIdentity, Limits, Purpose, Shared, TitoEngine, TitoSnapshot, TitoTransaction};
use crate::error::{Result, TitoError};
use crate::timestamp::{Now, Timestamp};

pub use self::builder::{Concurrency, TiKVBuilder};
pub use self::error::TiKVError;
pub use self::transaction::TiKVTransaction;

/// The engine for a TiKV cluster. Any number of processes can use one cluster at the same time.
///
/// Every call ends within a deadline, whatever the cluster does; until then it is retried while the cluster is busy,
/// changing, or has the keys locked.
///
/// - Transactions are TiKV's, committed in two phases. If its caller is cancelled, a commit continues in a task of the
///   engine, and ends with all its writes or none.
/// - After a commit whose answer was lost the engine finds out whether it took effect, and says
///   [`CommitUnknown`](TitoError::CommitUnknown) only where the cluster can't be asked.
/// - Locks of a client that died are rolled back by the next reader or writer once they expire: after 3 s for a small
///   transaction, up to 20 s for one of 11 MiB or more.
///
/// ```no_run
/// use tito_core::prelude::*;
/// use tito_core::tikv::TiKVBackend;
///
/// # async fn example() -> Result<(), TitoError> {
/// let db = TiKVBackend::connect(vec!["127.0.0.1:2379"]).await?;
/// db.transaction(|tx| async move { tx.put(b"greeting".to_vec(), b"hello".to_vec()).await }).await?;
/// # Ok(())
/// # }
/// ```
pub struct TiKVBackend {
    core: Arc<Core>,
}

/// What handles, transactions and tasks share.
struct Core {
    client: Client,
    prefix: KeyPrefix,
    settings: TiKVBuilder,
    tasks: Tasks,
    is_closed: watch::Sender<bool>,
    /// Read once the cluster can be.
    identity: OnceLock<DatabaseIdentity>,
    shared: Shared,
}

impl Core {
    fn check_open(&self) -> Result<()> {
        if *self.is_closed.borrow() { Err(shut_down()) } else { Ok(()) }
    }

    fn max_age_millis(&self) -> u64 {
        u64::try_from(self.settings.max_transaction_age.as_millis()).unwrap_or(u64::MAX)
    }

    async fn ask_timestamp(&self, operation: &'static str) -> Result<Timestamp> {
        self.check_open()?;
        let told = self.client.timestamp().await.map_err(|error| failed(operation, None, error))?;
        Ok(timestamp_of(told))
    }
}

fn shut_down() -> TitoError {
    TitoError::EngineClosed { reason: "it was shut down".to_string() }
}

/// The timestamp as the rest of Tito knows it.
fn timestamp_of(timestamp: tito_tikv::Timestamp) -> Timestamp {
    Timestamp::from_raw(timestamp.raw())
}

impl TiKVBackend {
    /// Connects to the cluster of these PD servers, `host:port` each. One that answers is enough.
    ///
    /// # Errors
    /// [`TitoError::Unavailable`] with the addresses, if none of them answers as a PD server of a cluster with a leader
    /// does within 10 s; [`TitoError::Storage`] for addresses that are none.
    pub async fn connect<S: Into<String>>(addresses: Vec<S>) -> Result<Database> {
        Self::builder(addresses).connect().await
    }

    /// Connects with other options than the defaults.
    pub fn builder<S: Into<String>>(addresses: Vec<S>) -> TiKVBuilder {
        TiKVBuilder::new(addresses.into_iter().map(Into::into).collect())
    }

    async fn start(settings: TiKVBuilder, purpose: Purpose) -> Result<Database> {
        let client = settings.client().connect().await.map_err(|source| {
            let source = TiKVError::Unreachable { addresses: settings.addresses.clone(), source: Box::new(source) };
            TitoError::Unavailable { operation: "connect", source: source.into() }
        })?;
        let engine = Self {
            core: Arc::new(Core {
                client,
                prefix: KeyPrefix::new(settings.key_prefix.clone(), settings.limits.key_bytes),
                tasks: Tasks::here(),
                is_closed: watch::Sender::new(false),
                identity: OnceLock::new(),
                shared: Shared::default(),
                settings,
            }),
        };
        let identity = match purpose {
            Purpose::Use => DatabaseIdentity::of_engine(&engine).await?,
            Purpose::Look | Purpose::Read => DatabaseIdentity::of_existing(&engine).await?,
            Purpose::Fill(filling) => filling.prepare(&engine).await?,
        };
        let _ = engine.core.identity.set(identity);
        Ok(Database::from_engine(engine))
    }

    async fn shut_down(&self) {
        self.core.is_closed.send_replace(true);
        if self.core.tasks.join(self.core.settings.call_deadline.saturating_mul(2)).await.is_err() {
            tracing::warn!("commits of the engine were still under way at the deadline of closing it");
        }
        self.core.client.close().await;
    }
}

impl TitoEngine for TiKVBackend {
    fn begin<'a>(
        &'a self,
        replayed: Option<&'a dyn TitoTransaction>,
    ) -> BoxFuture<'a, Result<Box<dyn TitoTransaction>>> {
        async move {
            let replayed = replayed.and_then(|replayed| (replayed as &dyn Any).downcast_ref());
            let transaction = TiKVTransaction::begin(&self.core, replayed).await?;
            Ok(Box::new(transaction) as Box<dyn TitoTransaction>)
        }
        .boxed()
    }

    fn snapshot(&self) -> BoxFuture<'_, Result<Box<dyn TitoSnapshot>>> {
        async { Ok(Box::new(KeptSnapshot::take(&self.core).await?) as Box<dyn TitoSnapshot>) }.boxed()
    }

    fn timestamp(&self) -> BoxFuture<'_, Result<Timestamp>> {
        self.core.ask_timestamp("timestamp").boxed()
    }

    /// PD's time, which is what its timestamps are made of.
    fn now(&self) -> BoxFuture<'_, Result<Now>> {
        async { Ok(Now::from_millis(self.core.ask_timestamp("now").await?.physical_millis())) }.boxed()
    }

    fn clock(&self) -> &Arc<dyn Clock> {
        &self.core.settings.clock
    }

    fn limits(&self) -> &Limits {
        &self.core.settings.limits
    }

    fn max_transaction_age_millis(&self) -> u64 {
        self.core.max_age_millis()
    }

    fn identity(&self) -> Option<&DatabaseIdentity> {
        self.core.identity.get()
    }

    /// Waits for the commits and clean-ups under way for three times the call's deadline at most.
    fn close(&self) -> BoxFuture<'_, ()> {
        self.shut_down().boxed()
    }

    fn closed(&self) -> BoxFuture<'_, TitoError> {
        async {
            // The sender lives as long as the engine.
            let _ = self.core.is_closed.subscribe().wait_for(|is_closed| *is_closed).await;
            shut_down()
        }
        .boxed()
    }

    fn shared(&self) -> &Shared {
        &self.core.shared
    }
}

impl fmt::Debug for TiKVBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TiKVBackend").field("addresses", &self.core.settings.addresses).finish_non_exhaustive()
    }
}
