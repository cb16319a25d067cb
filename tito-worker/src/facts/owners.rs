//! How much of a partition is due, as its owner has counted while somebody looked, where several processes write.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tito_core::database::{PageSize, Walk};
use tito_core::row::{StoredRow, UnknownMembers};
use tito_core::{Database, Now, Result, TitoError, Transaction, TxOptions, keeps_unknown_members};

use super::counting::{Counted, First, count_partition, firsts};
use crate::keys;

/// How often a process says that somebody looks, in milliseconds of the monotonic clock.
const SAID_EVERY_MILLIS: u64 = 20_000;

/// For how long after that owners count, in milliseconds.
const LOOKED_FOR_MILLIS: u64 = 60_000;

/// How often they do.
const COUNTED_EVERY_MILLIS: u64 = 5_000;

/// How often it is looked whether that is due.
const LOOKED_AT_CLOCK_EVERY: Duration = Duration::from_millis(500);

/// How old a count may be that somebody goes by, in milliseconds.
const FRESH_MILLIS: u64 = 30_000;

/// How long rows are kept that nobody has written again, in milliseconds.
const KEPT_MILLIS: u64 = 600_000;

/// How many rows an owner looks at in a partition.
const MOST_COUNTED: usize = if cfg!(test) { 500 } else { 10_000 };

/// How many rows one sweep deletes: the next one goes on.
const DELETED_AT_ONCE: usize = 100;

/// How many queues a process says in one transaction that somebody looks at.
const SAID_AT_ONCE: usize = 500;

/// What the owner of a partition has counted, and when, in Unix seconds.
pub(super) type Owned = (Counted, i64);

/// What is stored under `!backlog:{queue}:{partition}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct BacklogRow {
    count: u64,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    at_least: bool,
    /// The second at which the one fell due that fell due first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    oldest: Option<i64>,
    /// When it was counted: what was now, in milliseconds.
    counted: u64,
    #[serde(skip)]
    unknown: UnknownMembers,
}

keeps_unknown_members!(BacklogRow);

impl StoredRow for BacklogRow {
    const EXPECTED: &'static str = "how much of a partition is due in JSON";
}

/// What is stored under `!looked:{queue}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct LookedRow {
    /// When somebody looked: what was now, in milliseconds.
    looked: u64,
    #[serde(skip)]
    unknown: UnknownMembers,
}

keeps_unknown_members!(LookedRow);

impl StoredRow for LookedRow {
    const EXPECTED: &'static str = "that somebody looks at a queue in JSON";
}

/// When this process has last said so of a queue, by the monotonic clock.
#[derive(Default)]
struct Said(Mutex<HashMap<String, u64>>);

/// Lets the owners of the queues' partitions know that somebody looks. A failure is for the next look.
pub(super) async fn note_look<'a>(database: &Database, queues: impl IntoIterator<Item = &'a str>) {
    let said = database.shared().value::<Said>();
    let clock_millis = database.clock().monotonic_millis();
    let unsaid: Vec<String> = {
        let mut said = said.0.lock().unwrap_or_else(PoisonError::into_inner);
        said.retain(|_, at| clock_millis.saturating_sub(*at) < SAID_EVERY_MILLIS);
        let unsaid: Vec<_> = queues.into_iter().filter(|queue| !said.contains_key(*queue)).map(String::from).collect();
        said.extend(unsaid.iter().map(|queue| (queue.clone(), clock_millis)));
        unsaid
    };
    for queues in unsaid.chunks(SAID_AT_ONCE) {
        let saying = |tx: Transaction| async move {
            let row = LookedRow { looked: tx.now().millis(), unknown: UnknownMembers::default() }.encode()?;
            for queue in queues {
                tx.system_keys().put(keys::looked(queue), row.clone()).await?;
            }
            Ok(())
        };
        match unless_others(database.transaction_with(TxOptions::default().max_attempts(1), saying).await) {
            Ok(()) => {}
            // Whoever only reads counts by himself.
            Err(TitoError::ReadOnly { .. }) => return,
            Err(error) => tracing::warn!(%error, "it can't be said that somebody looks at queues, trying again"),
        }
    }
}

/// Whoever else writes the same rows at the same time says the same.
fn unless_others(written: Result<()>) -> Result<()> {
    match written {
        Err(TitoError::RetriesExhausted { .. }) => Ok(()),
        written => written,
    }
}

/// What the owners of these partitions have counted lately.
pub(super) async fn owned_backlogs(
    database: &Database,
    queue: &str,
    firsts: &[First],
    now: Now,
) -> Result<BTreeMap<u16, Owned>> {
    if database.is_only_writer() || firsts.is_empty() {
        return Ok(BTreeMap::new());
    }
    let rows: Vec<_> = firsts.iter().map(|(partition, _)| keys::backlog(queue, *partition)).collect();
    let asked = rows.clone();
    let reading = |tx: Transaction| {
        let asked = asked.clone();
        async move { tx.batch_get(asked).await }
    };
    let stored = database.transaction(reading).await?;
    let mut owned = BTreeMap::new();
    for (((partition, _), key), row) in firsts.iter().zip(rows).zip(stored) {
        match row.map(|row| BacklogRow::decode(&key, &row)) {
            Some(Ok(row)) if now.millis().saturating_sub(row.counted) < FRESH_MILLIS => {
                let counted = Counted { count: row.count, at_least: row.at_least, oldest: row.oldest };
                owned.insert(*partition, (counted, (row.counted / 1_000) as i64));
            }
            Some(Err(error)) => database.log_damaged(&error, "it is counted anew"),
            _ => {}
        }
    }
    Ok(owned)
}

/// Counts what is due in the partitions of this worker while somebody looks. Never ends.
pub(super) async fn count_looked_at(
    database: &Database,
    served: &BTreeSet<String>,
    is_owned: &(impl Fn(&str, u16) -> bool + Sync),
) {
    let clock = database.clock();
    loop {
        let began = clock.monotonic_millis();
        if let Err(error) = count_once(database, served, is_owned).await {
            tracing::warn!(%error, "it can't be counted what is due, trying again");
        }
        // Not a wait on the engine's clock, which tells those who turn it what partitions wait for.
        while clock.monotonic_millis() < began.saturating_add(COUNTED_EVERY_MILLIS) {
            tokio::time::sleep(LOOKED_AT_CLOCK_EVERY).await;
        }
    }
}

async fn count_once(
    database: &Database,
    served: &BTreeSet<String>,
    is_owned: &(impl Fn(&str, u16) -> bool + Sync),
) -> Result<()> {
    let mut walk = Walk::over(keys::all_looked());
    while let Some((page, now)) = walk.next(database).await? {
        for (key, value) in page {
            let Some(queue) = keys::parse_looked(&key).filter(|queue| served.contains(queue)) else { continue };
            match LookedRow::decode(&key, &value) {
                Ok(row) if now.millis().saturating_sub(row.looked) < LOOKED_FOR_MILLIS => {
                    count_queue(database, &queue, is_owned).await?;
                }
                Ok(_) => {}
                Err(error) => database.log_damaged(&error, "its events are not counted"),
            }
        }
    }
    Ok(())
}

/// Partitions without events have no row: whoever looks sees that they are empty.
async fn count_queue(database: &Database, queue: &str, is_owned: &(impl Fn(&str, u16) -> bool + Sync)) -> Result<()> {
    let now = database.now().await?;
    let (firsts, _) = firsts(database, keys::events_of_queue(queue), usize::MAX, |_| true).await?;
    let mut rows = Vec::new();
    for first in firsts.get(queue).into_iter().flatten().filter(|(partition, _)| is_owned(queue, *partition)) {
        let Counted { count, at_least, oldest } =
            count_partition(database, queue, *first, now, &mut MOST_COUNTED.clone()).await?;
        let row = BacklogRow { count, at_least, oldest, counted: now.millis(), unknown: UnknownMembers::default() };
        rows.push((keys::backlog(queue, first.0), row.encode()?));
    }
    for rows in rows.chunks(SAID_AT_ONCE) {
        let writing = |tx: Transaction| async move {
            for (key, row) in rows {
                tx.system_keys().put(key.clone(), row.clone()).await?;
            }
            Ok(())
        };
        unless_others(database.transaction_with(TxOptions::default().max_attempts(1), writing).await)?;
    }
    Ok(())
}

/// Deletes what was counted of a queue that nobody has looked at for ten minutes, and returns how many rows are gone, up to
/// 100. Where it meets another sweep, or somebody who looks, it leaves the rest to that.
pub(crate) async fn sweep_backlogs(database: &Database) -> Result<usize> {
    let mut walk = Walk::over(keys::all_looked()).in_pages(PageSize::entries(DELETED_AT_ONCE));
    while let Some((page, now)) = walk.next(database).await? {
        for (key, value) in page {
            let is_kept = match LookedRow::decode(&key, &value) {
                Ok(row) => now.millis().saturating_sub(row.looked) < KEPT_MILLIS,
                Err(error) => {
                    database.log_damaged(&error, "left as it is");
                    true
                }
            };
            if let Some(queue) = keys::parse_looked(&key).filter(|_| !is_kept) {
                return forget(database, &queue, key, value).await;
            }
        }
    }
    Ok(0)
}

async fn forget(database: &Database, queue: &str, looked: Vec<u8>, seen: Vec<u8>) -> Result<usize> {
    let deleting = |tx: Transaction| async move {
        if tx.get(&looked).await? != Some(seen) {
            return Ok(0);
        }
        let mut rows: Vec<_> = tx.scan(keys::backlogs(queue), DELETED_AT_ONCE).await?;
        // The row that they are found by goes last.
        if rows.len() < DELETED_AT_ONCE {
            rows.push((looked, Vec::new()));
        }
        let deleted = rows.len();
        for (key, _) in rows {
            tx.system_keys().delete(key).await?;
        }
        Ok(deleted)
    };
    match database.transaction_with(TxOptions::default().max_attempts(1), deleting).await {
        Err(TitoError::RetriesExhausted { .. }) => Ok(0),
        deleted => deleted,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn rows_are_read_and_written_again_as_the_page_of_the_format_says() {
        let page = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/format.md");
        let page = std::fs::read_to_string(page).unwrap();
        let vectors = |name: &str| {
            let lines: Vec<_> = page.lines().filter_map(|line| line.strip_prefix(name)).map(String::from).collect();
            assert!(!lines.is_empty(), "{name}");
            lines
        };
        for value in vectors("backlog_value ") {
            let row = BacklogRow::decode(b"!backlog:a", value.as_bytes()).unwrap();
            assert_eq!(String::from_utf8(row.encode().unwrap()).unwrap(), value);
        }
        for value in vectors("looked_value ") {
            let row = LookedRow::decode(b"!looked:a", value.as_bytes()).unwrap();
            assert_eq!(String::from_utf8(row.encode().unwrap()).unwrap(), value);
        }
    }
}
