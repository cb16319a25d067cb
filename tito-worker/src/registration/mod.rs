//! What workers say of themselves, and what an operator tells them.
//!
//! A worker that runs is known to its process by its [`Registration`]. On engines that other processes write to as well
//! it keeps a row that says the same, written again every ten seconds: never for an event. On the embedded engine, which
//! no other process can look at, nothing is written.
//!
//! | file | idea |
//! |---|---|
//! | this one | a worker that runs, its row, and how it learns that it is to leave |
//! | `about` | what its application says of it |
//! | `running` | the handlers that run |
//! | `row` | what is stored |
//! | `list` | workers and fleets, as others see them |
//! | `page` | workers, a page at a time |
//! | `retire` | tells a worker to leave |
//! | `sweep` | rows of workers that have died |

mod about;
mod list;
mod page;
mod retire;
mod row;
mod running;
mod sweep;

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use tito_core::row::{StoredRow, UnknownMembers};
use tito_core::{Database, Result, Transaction};
use tokio::sync::watch;
use uuid::Uuid;

pub(crate) use self::about::{About, git_commit, host_name};
pub(crate) use self::list::known_version;
pub use self::list::{FleetInfo, InHand, WorkerInfo};
pub use self::page::{WorkerPage, WorkerPlace};
pub(crate) use self::running::Running;
pub use self::running::RunningHandler;
pub(crate) use self::sweep::sweep_registrations;

use self::row::WorkerRow;
use crate::activity::{Activities, put_minutes};
use crate::keys;
use crate::policy::LimitedBy;

/// How long a worker counts as alive after it has said so.
const LEASE_MILLIS: u64 = 30_000;

/// How often it says so, where others can't see it otherwise.
const SAID_EVERY_MILLIS: u64 = LEASE_MILLIS / 3;

/// How often it is looked whether that is due.
const LOOKED_AT_CLOCK_EVERY: Duration = Duration::from_millis(500);

/// How many handlers are told of.
const LONGEST_RUNNING: usize = 20;

/// How long the last words of a worker may take.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// The workers of this process.
#[derive(Default)]
struct Living(Mutex<BTreeMap<Uuid, Arc<Registration>>>);

impl Living {
    fn of(database: &Database) -> &Self {
        database.shared().value()
    }

    fn locked(&self) -> MutexGuard<'_, BTreeMap<Uuid, Arc<Registration>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Removes a worker from those of its process when it is dropped.
pub(crate) struct Registered(Arc<Registration>);

impl Drop for Registered {
    fn drop(&mut self) {
        Living::of(&self.0.database).locked().remove(&self.0.id);
        Activities::of(&self.0.database).workers.fetch_sub(1, Ordering::AcqRel);
    }
}

/// A queue that a worker serves.
pub(crate) struct ServedQueue {
    pub(crate) name: Arc<str>,
    /// How many events of it are in flight.
    pub(crate) in_flight: Arc<AtomicU64>,
    /// Which of its limits keeps more from being handed out, when the monotonic clock shows this.
    pub(crate) limited_by: Box<dyn Fn(u64) -> Option<LimitedBy> + Send + Sync>,
}

/// One run of a worker, as it says of itself.
pub(crate) struct Registration {
    database: Database,
    pub(crate) id: Uuid,
    about: About,
    queues: Vec<ServedQueue>,
    pub(crate) running: Running,
    began_monotonic_millis: u64,
    /// What was now when it began, once that is known.
    started_millis: OnceLock<u64>,
    retires: watch::Sender<bool>,
}

impl Registration {
    pub(crate) fn new(database: Database, id: Uuid, about: About, queues: Vec<ServedQueue>) -> Arc<Self> {
        Arc::new(Self {
            id,
            about,
            queues,
            running: Running::default(),
            began_monotonic_millis: database.clock().monotonic_millis(),
            started_millis: OnceLock::new(),
            retires: watch::Sender::new(false),
            database,
        })
    }

    /// Makes the worker known to its process until what this returns is dropped.
    #[must_use]
    pub(crate) fn register(self: &Arc<Self>) -> Registered {
        Living::of(&self.database).locked().insert(self.id, self.clone());
        Activities::of(&self.database).workers.fetch_add(1, Ordering::AcqRel);
        Registered(self.clone())
    }

    /// Completes once an operator has told the worker to leave. Safe to cancel.
    pub(crate) async fn retired(&self) {
        // The sender lives as long as `self`.
        let _ = self.retires.subscribe().wait_for(|retires| *retires).await;
    }

    pub(crate) fn is_retired(&self) -> bool {
        *self.retires.borrow()
    }

    fn retire(&self) {
        self.retires.send_replace(true);
    }

    /// What it would say if it was this time.
    fn row(&self, now_millis: u64) -> WorkerRow {
        let clock_millis = self.database.clock().monotonic_millis();
        let at = |monotonic: u64| now_millis.saturating_sub(clock_millis.saturating_sub(monotonic));
        let in_flight = self.queues.iter().filter_map(|queue| {
            let count = queue.in_flight.load(Ordering::Relaxed);
            (count > 0).then(|| (queue.name.to_string(), count))
        });
        let limited =
            self.queues.iter().filter_map(|queue| Some((queue.name.to_string(), (queue.limited_by)(clock_millis)?)));
        let about = self.about.clone();
        WorkerRow {
            queues: self.queues.iter().map(|queue| queue.name.to_string()).collect(),
            heartbeat: now_millis,
            lease_millis: LEASE_MILLIS,
            started: *self.started_millis.get_or_init(|| at(self.began_monotonic_millis)),
            name: about.name,
            version: about.version,
            host: about.host,
            process_id: about.process_id,
            fleet: about.fleet,
            share: about.share,
            known_versions: about.known_versions,
            retiring: self.is_retired(),
            in_flight: in_flight.collect(),
            limited: limited.collect(),
            running: self.running.longest(LONGEST_RUNNING, at),
            // The row is its own: nobody else writes it.
            unknown: UnknownMembers::default(),
        }
    }

    /// Says again and again what the worker is and has in hand, and looks whether it is to leave. Never ends. Nobody has
    /// to be told by the only process of a database.
    pub(crate) async fn look_after(&self) {
        if self.database.is_only_writer() {
            return std::future::pending().await;
        }
        let clock = self.database.clock();
        loop {
            let began = clock.monotonic_millis();
            if let Err(error) = self.say().await {
                tracing::warn!(worker = %self.id, %error, "a worker could not write its heartbeat, trying again");
            }
            // Not a wait on the engine's clock, which tells those who turn it what partitions wait for.
            while clock.monotonic_millis() < began.saturating_add(SAID_EVERY_MILLIS) {
                tokio::time::sleep(LOOKED_AT_CLOCK_EVERY).await;
            }
        }
    }

    async fn say(&self) -> Result<()> {
        let activities = Activities::of(&self.database);
        let done = &activities.unwritten(&self.database, false);
        let process = activities.process;
        let saying = |tx: Transaction| async move {
            put_minutes(&tx, process, done).await?;
            let row = self.row(tx.now().millis());
            tx.system_keys().put(keys::registered_worker(self.id), row.encode()?).await?;
            Ok(tx.get(&keys::retirement(self.id)).await?.is_some())
        };
        let is_to_leave = self.database.transaction(saying).await?;
        activities.note_written(&self.database, done);
        if is_to_leave {
            tracing::info!(worker = %self.id, "the worker was told to leave");
            self.retire();
        }
        Ok(())
    }

    /// Takes the row away. If the engine can't be reached, others do when they find that it has died.
    pub(crate) async fn end(&self) {
        if self.database.is_only_writer() {
            return;
        }
        let activities = Activities::of(&self.database);
        let done = &activities.unwritten(&self.database, true);
        let process = activities.process;
        let deleting = self.database.transaction(|tx: Transaction| async move {
            put_minutes(&tx, process, done).await?;
            tx.system_keys().delete(keys::registered_worker(self.id)).await?;
            tx.system_keys().delete(keys::retirement(self.id)).await
        });
        within_last_words(deleting).await;
    }
}

async fn within_last_words(words: impl Future<Output = Result<()>> + Send) {
    match tokio::time::timeout(LAST_WORDS, words).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(%error, "the row of a worker that ends could not be updated"),
        Err(_) => tracing::warn!("the row of a worker that ends could not be updated, as the engine does not answer"),
    }
}
