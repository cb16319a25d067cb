//! The minutes of a process that publishes, and in which no worker runs that would write them.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tito_core::row::{StoredRow, UnknownMembers};
use tito_core::{Database, Result, Transaction};

use super::{Activities, ActivityRow, Minute, minute_of};
use crate::keys;

/// How often it is looked whether a minute is to be written, in milliseconds of the monotonic clock.
const WRITTEN_EVERY_MILLIS: u64 = 10_000;

/// How often it is looked whether that is due.
const LOOKED_AT_CLOCK_EVERY: Duration = Duration::from_millis(500);

/// After so many minutes in which nothing was published the task ends.
const IDLE_MINUTES: u64 = 3;

/// Has what this process publishes written by a task, where others write too. Called for each event that is published.
pub(crate) fn keep_written(database: &Database) {
    if database.is_only_writer() {
        return;
    }
    let activities = Activities::of(database);
    // One task at a time: it ends where it is idle, and once the engine is closed.
    if activities.is_kept.swap(true, Ordering::AcqRel) {
        return;
    }
    let Ok(runtime) = tokio::runtime::Handle::try_current() else {
        // Whoever publishes next may have one.
        activities.is_kept.store(false, Ordering::Release);
        return;
    };
    let database = database.clone();
    let task = runtime.spawn(async move {
        tokio::select! {
            _ = database.closed() => Activities::of(&database).is_kept.store(false, Ordering::Release),
            () = write_minutes(&database) => {}
        }
    });
    *activities.task() = Some(task);
}

/// Writes all that this process did so far, the present minute included, and ends the task.
pub(crate) async fn write_all(database: &Database) -> Result<()> {
    if database.is_only_writer() {
        return Ok(());
    }
    let activities = Activities::of(database);
    let task = activities.task().take();
    if let Some(task) = task {
        task.abort();
        // An error says that it was aborted, which it was.
        let _ = task.await;
        activities.is_kept.store(false, Ordering::Release);
    }
    write(database, activities, true).await
}

async fn write_minutes(database: &Database) {
    let (activities, clock) = (Activities::of(database), database.clock());
    let mut busy = minute_of(&**clock);
    loop {
        let began = clock.monotonic_millis();
        // Not a wait on the engine's clock, which tells those who turn it what partitions wait for.
        while clock.monotonic_millis() < began.saturating_add(WRITTEN_EVERY_MILLIS) {
            tokio::time::sleep(LOOKED_AT_CLOCK_EVERY).await;
        }
        if activities.workers.load(Ordering::Acquire) == 0
            && let Err(error) = write(database, activities, false).await
        {
            tracing::warn!(%error, "what this process has published can't be written, trying again");
        }
        let present = minute_of(&**clock);
        if !activities.unwritten(database, true).is_empty() {
            busy = present;
        }
        if present.saturating_sub(busy) <= IDLE_MINUTES {
            continue;
        }
        activities.is_kept.store(false, Ordering::Release);
        // What was published just now may have found this task still there.
        if activities.unwritten(database, true).is_empty() || activities.is_kept.swap(true, Ordering::AcqRel) {
            return;
        }
        busy = present;
    }
}

/// Writes the minutes that are over; with `ends` the present one, too.
async fn write(database: &Database, activities: &Activities, ends: bool) -> Result<()> {
    let minutes = activities.unwritten(database, ends);
    if minutes.is_empty() {
        return Ok(());
    }
    let (process, writing) = (activities.process, &minutes);
    database.transaction(|tx: Transaction| async move { put_minutes(&tx, process, writing).await }).await?;
    activities.note_written(database, &minutes);
    Ok(())
}

/// Puts minutes of a process into a transaction.
pub(crate) async fn put_minutes(
    tx: &Transaction,
    process: uuid::Uuid,
    minutes: &std::collections::BTreeMap<u64, Minute>,
) -> Result<()> {
    for (minute, queues) in minutes {
        let row = ActivityRow { queues: queues.clone(), unknown: UnknownMembers::default() };
        tx.system_keys().put(keys::activity(*minute, process), row.encode()?).await?;
    }
    Ok(())
}
