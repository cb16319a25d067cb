//! What a worker does for operations beside its partitions.

use std::collections::{BTreeMap, BTreeSet};
use std::future::pending;
use std::time::Duration;

use tito_core::database::Walk;
use tito_core::engine::Listener;
use tito_core::row::StoredRow;
use tito_core::{Now, Result, TitoError, Transaction};
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use uuid::Uuid;

use super::registered::OperationTypes;
use super::row::OperationRow;
use super::step::{Next, Stepper};
use crate::keys;
use crate::queue::TitoQueue;

/// Told when an operation was begun in this process. No queue has a name with a colon.
pub(super) const CHANNEL: &str = "operation:";

/// How often a worker looks for operations that others have begun, or left.
const LOOK: Duration = Duration::from_secs(5);

/// And where it hears of those that are begun.
const HEARD_LOOK: Duration = Duration::from_secs(30);

/// How many seconds an operation is kept after its end.
pub(super) const KEPT: i64 = 7 * 86_400;

/// Between two steps, which leaves the engine to others.
const STEP_PAUSE: Duration = Duration::from_millis(5);

/// Steps operations while `active` is true and until `stopped` is.
pub(crate) async fn run(
    queue: TitoQueue,
    registered: OperationTypes,
    mut stopped: watch::Receiver<bool>,
    mut active: watch::Receiver<bool>,
) {
    let told = queue.engine.shared().listen(CHANNEL, 0);
    let mut stepping = Stepping::new(queue, registered);
    let turns = async {
        // Fails when the worker is gone.
        while active.wait_for(|active| *active).await.is_ok() {
            tokio::select! {
                () = stepping.look_again(&told) => {}
                _ = active.wait_for(|active| !*active) => {}
            }
            stepping.stop().await;
        }
    };
    tokio::select! {
        // A transaction that is dropped is rolled back.
        () = turns => {}
        _ = stopped.wait_for(|stopped| *stopped) => {}
    }
    stepping.stop().await;
}

/// How an operation ended for now that was stepped in a task of its own.
type Ended = (Uuid, Result<()>);

/// What is stepped.
struct Stepping {
    queue: TitoQueue,
    stepper: Stepper,
    /// Those whose steps may take long, each in a task of its own.
    beside: JoinSet<Ended>,
    running: BTreeSet<Uuid>,
    /// Those that could not go on, and until when they are left alone, in milliseconds of the monotonic clock.
    resting: BTreeMap<Uuid, u64>,
}

impl Stepping {
    fn new(queue: TitoQueue, registered: OperationTypes) -> Self {
        let stepper = Stepper::new(queue.clone(), registered);
        Self { queue, stepper, beside: JoinSet::new(), running: BTreeSet::new(), resting: BTreeMap::new() }
    }

    async fn look_again(&mut self, told: &Listener) {
        let every = if self.queue.engine.is_only_writer() { HEARD_LOOK } else { LOOK };
        let clock = self.queue.engine.clock().clone();
        loop {
            let next = match self.round().await {
                Ok(next) => next,
                Err(error) => {
                    tracing::warn!(%error, "operations could not be read, trying again");
                    None
                }
            };
            let rested = self.resting.values().min().copied();
            let falls_due = async {
                match next {
                    Some(0) => tokio::time::sleep(STEP_PAUSE).await,
                    Some(millis) => clock.wait_until_monotonic(clock.monotonic_millis().saturating_add(millis)).await,
                    None => pending().await,
                }
            };
            let rests = async {
                match rested {
                    Some(until) => clock.wait_until_monotonic(until).await,
                    None => pending().await,
                }
            };
            tokio::select! {
                () = tokio::time::sleep(every) => {}
                () = falls_due => {}
                () = rests => {}
                _ = told.woken() => {}
                Some(ended) = self.beside.join_next() => self.note_end(ended),
            }
        }
    }

    /// Makes a step of each operation that may go on. Returns in how many milliseconds one may again.
    async fn round(&mut self) -> Result<Option<u64>> {
        let monotonic = self.queue.engine.clock().monotonic_millis();
        self.resting.retain(|_, until| *until > monotonic);
        let mut walk = Walk::over(keys::operations());
        let mut earliest = None;
        while let Some((page, now)) = walk.next(&self.queue.engine).await? {
            for (key, bytes) in page {
                let Some(id) = keys::parse_operation(&key) else { continue };
                if self.running.contains(&id) || self.resting.contains_key(&id) {
                    continue;
                }
                let row = match OperationRow::decode(&key, &bytes) {
                    Ok(row) => row,
                    Err(error) => {
                        self.queue.engine.log_damaged(&error, "an operation can't be read and does not go on");
                        continue;
                    }
                };
                let next = match self.step(id, &row, now).await {
                    Ok(Next::Step) => Some(0),
                    Ok(Next::At(millis) | Next::Held(millis)) => Some(millis.saturating_sub(now.millis()).max(1)),
                    Ok(Next::Ended | Next::Unknown) => None,
                    Err(error) => {
                        self.rest(id, &error);
                        None
                    }
                };
                earliest = [earliest, next].into_iter().flatten().min();
            }
        }
        Ok(earliest)
    }

    /// Makes a step of one, or has it made beside the others.
    async fn step(&mut self, id: Uuid, row: &OperationRow, now: Now) -> Result<Next> {
        if row.state.has_ended() {
            self.stepper.abandon(id, row).await?;
            return forget(&self.queue, id, row, now.seconds()).await.map(|()| Next::Ended);
        }
        match self.stepper.takes_long(row, now) {
            None => self.stepper.step(id).await,
            Some(Next::Step) => {
                self.running.insert(id);
                self.beside.spawn(step_beside(self.queue.clone(), self.stepper.beside(), id));
                // Its end is heard of.
                Ok(Next::Ended)
            }
            Some(next) => Ok(next),
        }
    }

    fn note_end(&mut self, ended: Result<Ended, JoinError>) {
        match ended {
            Ok((id, ended)) => {
                self.running.remove(&id);
                if let Err(error) = ended {
                    self.rest(id, &error);
                }
            }
            // Panics of the application's are caught: one here is a bug, to be seen and not swallowed.
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(_) => {}
        }
    }

    /// Leaves one alone for a while, so that it is not in the way of the others.
    fn rest(&mut self, id: Uuid, error: &TitoError) {
        tracing::warn!(operation = %id, %error, "an operation could not go on, trying again");
        let until = self.queue.engine.clock().monotonic_millis().saturating_add(LOOK.as_millis() as u64);
        self.resting.insert(id, until);
    }

    /// Drops what runs where it waits.
    async fn stop(&mut self) {
        self.beside.shutdown().await;
        self.running.clear();
    }
}

/// Makes steps of one operation until another has it, or it has ended.
async fn step_beside(queue: TitoQueue, mut stepper: Stepper, id: Uuid) -> Ended {
    loop {
        match stepper.step(id).await {
            Ok(Next::Step) => tokio::time::sleep(STEP_PAUSE).await,
            Ok(Next::At(until)) => {
                let now = match queue.engine.now().await {
                    Ok(now) => now.millis(),
                    Err(error) => return (id, Err(error)),
                };
                // In between it is seen whether it was stopped, and whether time was set.
                let left = until.saturating_sub(now).clamp(1, 1_000);
                let clock = queue.engine.clock();
                clock.wait_until_monotonic(clock.monotonic_millis().saturating_add(left)).await;
            }
            Ok(Next::Held(_) | Next::Ended | Next::Unknown) => return (id, Ok(())),
            Err(error) => return (id, Err(error)),
        }
    }
}

/// Deletes what has ended long ago.
async fn forget(queue: &TitoQueue, id: Uuid, row: &OperationRow, now: i64) -> Result<()> {
    if row.ended_at.is_none_or(|ended| now.saturating_sub(ended) < KEPT) {
        return Ok(());
    }
    queue.engine.transaction(|tx: Transaction| async move { tx.system_keys().delete(keys::operation(id)).await }).await
}
