//! What a worker does for operations beside its partitions.

use std::collections::BTreeSet;
use std::future::pending;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use tito_core::database::Walk;
use tito_core::engine::Listener;
use tito_core::row::StoredRow;
use tito_core::{Result, Transaction};
use tokio::sync::watch;
use uuid::Uuid;

use super::named::NamedSteps;
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

/// Steps operations until it is stopped.
pub(crate) async fn run(queue: TitoQueue, named: NamedSteps, mut stopped: watch::Receiver<bool>) {
    let told = queue.engine.shared().listen(CHANNEL, 0);
    tokio::select! {
        // A transaction that is dropped is rolled back.
        () = look_again(queue, named, &told) => {}
        _ = stopped.wait_for(|stopped| *stopped) => {}
    }
}

/// Steps that are the application's, each beside the others: one may take as long as it does.
type Beside = FuturesUnordered<BoxFuture<'static, Uuid>>;

async fn look_again(queue: TitoQueue, named: NamedSteps, told: &Listener) {
    let every = if queue.engine.is_only_writer() { HEARD_LOOK } else { LOOK };
    let mut stepper = Stepper::new(queue.clone(), named);
    let (mut beside, mut running) = (Beside::new(), BTreeSet::new());
    loop {
        let next = match round(&queue, &mut stepper, &mut beside, &mut running).await {
            Ok(next) => next,
            Err(error) => {
                tracing::warn!(%error, "operations can't go on, trying again");
                None
            }
        };
        let falls_due = async {
            match next {
                Some(0) => tokio::time::sleep(STEP_PAUSE).await,
                Some(millis) => {
                    let clock = queue.engine.clock();
                    clock.wait_until_monotonic(clock.monotonic_millis().saturating_add(millis)).await;
                }
                None => pending().await,
            }
        };
        tokio::select! {
            () = tokio::time::sleep(every) => {}
            () = falls_due => {}
            _ = told.woken() => {}
            Some(ended) = beside.next() => {
                running.remove(&ended);
            }
        }
    }
}

/// Makes a step of each operation that may go on. Returns in how many milliseconds one may again.
async fn round(
    queue: &TitoQueue,
    stepper: &mut Stepper,
    beside: &mut Beside,
    running: &mut BTreeSet<Uuid>,
) -> Result<Option<u64>> {
    let mut walk = Walk::over(keys::operations());
    let mut earliest = None;
    while let Some((page, now)) = walk.next(&queue.engine).await? {
        for (key, bytes) in page {
            let Some(id) = keys::parse_operation(&key) else { continue };
            let row = match OperationRow::decode(&key, &bytes) {
                Ok(row) => row,
                Err(error) => {
                    queue.engine.log_damaged(&error, "an operation can't be read and does not go on");
                    continue;
                }
            };
            if row.state.has_ended() {
                forget(queue, id, &row, now.seconds()).await?;
                continue;
            }
            if running.contains(&id) {
                continue;
            }
            let next = match stepper.is_named_here(&row, now) {
                Some(Next::Step) => {
                    running.insert(id);
                    beside.push(step_beside(stepper.beside(), id).boxed());
                    continue;
                }
                Some(next) => next,
                None => stepper.step(id).await?,
            };
            let next = match next {
                Next::Step => Some(0),
                Next::At(millis) => Some(millis.saturating_sub(now.millis()).max(1)),
                Next::Ended | Next::Unknown => None,
            };
            earliest = [earliest, next].into_iter().flatten().min();
        }
    }
    Ok(earliest)
}

/// Makes steps of one operation until it is not its turn any more.
async fn step_beside(mut stepper: Stepper, id: Uuid) -> Uuid {
    loop {
        match stepper.step(id).await {
            Ok(Next::Step) => {}
            Ok(_) => return id,
            Err(error) => {
                tracing::warn!(operation = %id, %error, "an operation can't go on, trying again");
                tokio::time::sleep(LOOK).await;
                return id;
            }
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
