//! Waits until everybody knows about a change of a topic.

use std::time::Duration;

use super::topic_cache::CACHED;
use crate::database::Database;
use crate::error::Result;
use crate::timestamp::Timestamp;

/// How often an engine that knows its live transactions is asked whether the old ones have ended.
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// Waits until every transaction that may have used a topic as it was before a change by this process has ended:
/// afterwards no event is committed that ignores the change.
///
/// Takes next to no time on an engine with one writing process; otherwise [`CACHED`] and the engine's
/// `max_transaction_age`, by the engine's time.
///
/// # Errors
/// Those of the engine; at once if it is closed meanwhile.
pub async fn settle_topics(database: &Database) -> Result<()> {
    tokio::select! {
        biased;
        closed = database.closed() => Err(closed),
        settled = settle(database) => settled,
    }
}

async fn settle(database: &Database) -> Result<()> {
    // Begun after the change was made known to this process, so whatever it begins from now on goes by it.
    let tx = database.begin().await?;
    let changed = tx.start_timestamp();
    tx.rollback().await;
    drop(tx);
    let mut aware = changed;
    if !database.is_only_writer() {
        let cached = CACHED.as_millis() as u64;
        wait_by_the_engines_time(database, changed, cached + database.max_transaction_age_millis()).await?;
        // What others have begun since.
        aware = Timestamp::from_millis(changed.physical_millis().saturating_add(cached));
    }
    // No clock says that these are over: one whose commit is under way can be older than any transaction may become.
    while database.oldest_live_start().is_some_and(|oldest| oldest < aware) {
        tokio::time::sleep(LOOK_EVERY).await;
    }
    Ok(())
}

/// Other processes compare timestamps, and so does this. This machine's clock only says when to ask.
pub(crate) async fn wait_by_the_engines_time(database: &Database, began: Timestamp, millis: u64) -> Result<()> {
    let clock = database.clock();
    let mut left = millis;
    while left > 0 {
        clock.wait_until_monotonic(clock.monotonic_millis().saturating_add(left)).await;
        left = millis.saturating_sub(database.timestamp().await?.millis_since(began));
    }
    Ok(())
}
