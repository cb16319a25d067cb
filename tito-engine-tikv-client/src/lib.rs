#![doc = include_str!("../README.md")]
//!
//! # How it is built
//!
//! The client is used for what it does well, and its known gaps are kept away from the layers above; each is told in the
//! file that deals with it.
//!
//! | file | idea |
//! |---|---|
//! | `builder` | settings |
//! | `connections` | clients: opened, spread over transactions, replaced when one hangs |
//! | `deadline`, `tasks` | what ends every wait, and what goes on when the caller is gone |
//! | `calls` | calls that can be made again, until they are answered |
//! | `failure` | what an error of the client means to such a call |
//! | `prefix` | the engine's keys among those of the cluster |
//! | `reads`, `scan`, `page_size` | reads of a snapshot, in pages |
//! | `kept` | snapshots that are read for as long as somebody holds them |
//! | `transaction` | a transaction before its end |
//! | `guards` | the locks of pessimistic transactions |
//! | `age` | how old a transaction is |
//! | `commit`, `outcome` | the commit, and what is proved of it when it fails |
//! | `heal` | keys locked by clients that died |
//! | `maintenance` | garbage collection, deletion of ranges |

mod age;
mod builder;
mod calls;
mod commit;
mod connections;
mod deadline;
mod error;
mod failure;
mod guards;
mod heal;
mod kept;
mod maintenance;
mod outcome;
mod page_size;
mod prefix;
mod reads;
mod scan;
mod tasks;
mod transaction;

use std::any::Any;
use std::fmt;
use std::sync::{Arc, OnceLock};

use futures::FutureExt;
use futures::future::BoxFuture;
use tikv_client::TimestampExt;
use tokio::sync::watch;

use self::connections::Connections;
use self::deadline::Deadline;
use self::kept::KeptSnapshot;
use self::page_size::PageSize;
use self::prefix::KeyPrefix;
use self::tasks::Tasks;
use tito_core::Database;
use tito_core::clock::Clock;
use tito_core::engine::{DatabaseIdentity, Limits, Shared, TitoEngine, TitoSnapshot, TitoTransaction};
use tito_core::{Now, Timestamp};
use tito_core::{Result, TitoError};

pub use self::builder::{Concurrency, TiKVBuilder};
pub use self::error::TiKVError;
use self::transaction::TiKVTransaction;

/// The engine for a TiKV cluster. Any number of processes can use one cluster at the same time.
///
/// Every call ends within a deadline, whatever the cluster does; reads are
/// tried again until then while the cluster is busy, changing, or has the keys locked.
///
/// - Transactions are TiKV's, committed in two phases. A commit goes on in a task of the engine's when its caller is
///   cancelled, and ends with all of its writes or none.
/// - After a commit that failed the engine finds out whether it took effect, and says
///   [`CommitUnknown`](TitoError::CommitUnknown) only where the cluster can't be asked.
/// - Locks of a client that died are rolled back by the next reader or writer once their time is over: 3 s for a small
///   transaction, up to 20 s for one of 11 MiB or more.
///
/// ```no_run
/// use tito_core::prelude::*;
/// use tito_engine_tikv_client::TiKVBackend;
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
    connections: Connections,
    prefix: KeyPrefix,
    settings: TiKVBuilder,
    tasks: Tasks,
    page_size: PageSize,
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
}

fn shut_down() -> TitoError {
    TitoError::EngineClosed { reason: "it was shut down".to_string() }
}

/// The timestamp as the rest of Tito knows it.
fn timestamp_of(timestamp: &tikv_client::Timestamp) -> Timestamp {
    Timestamp::from_raw(timestamp.version())
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

    async fn start(settings: TiKVBuilder) -> Result<Database> {
        let connections = Connections::open(&settings)
            .await
            .map_err(|source| TitoError::Unavailable { operation: "connect", source: source.into() })?;
        let engine = Self {
            core: Arc::new(Core {
                connections,
                prefix: KeyPrefix::new(
                    settings.key_prefix.clone(),
                    settings.keyspace.is_some(),
                    settings.limits.key_bytes,
                ),
                tasks: Tasks::here(),
                page_size: PageSize::new(settings.max_message_bytes),
                is_closed: watch::Sender::new(false),
                identity: OnceLock::new(),
                shared: Shared::default(),
                settings,
            }),
        };
        let identity = DatabaseIdentity::of_engine(&engine).await?;
        let _ = engine.core.identity.set(identity);
        Ok(Database::from_engine(engine))
    }

    async fn shut_down(&self) {
        self.core.is_closed.send_replace(true);
        let deadline = Deadline::after(self.core.settings.call_deadline.saturating_mul(2));
        if self.core.tasks.join(deadline).await.is_err() {
            tracing::warn!("commits of the engine were still under way at the deadline of closing it");
        }
    }

    async fn ask_timestamp(&self) -> Result<Timestamp> {
        let slot = self.core.connections.next_slot();
        let ask = |client: tikv_client::TransactionClient| async move { client.current_timestamp().await };
        let (_, timestamp) = self.core.ask_pd(slot, "timestamp", ask).await?;
        Ok(timestamp_of(&timestamp))
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
        async {
            let timestamp = self.ask_timestamp().await?;
            Ok(Box::new(KeptSnapshot { core: self.core.clone(), timestamp }) as Box<dyn TitoSnapshot>)
        }
        .boxed()
    }

    fn timestamp(&self) -> BoxFuture<'_, Result<Timestamp>> {
        self.ask_timestamp().boxed()
    }

    /// PD's time, which is what its timestamps are made of.
    fn now(&self) -> BoxFuture<'_, Result<Now>> {
        async { Ok(Now::from_millis(self.ask_timestamp().await?.physical_millis())) }.boxed()
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

    /// Waits for the commits and clean-ups under way for twice the call's deadline at most.
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
