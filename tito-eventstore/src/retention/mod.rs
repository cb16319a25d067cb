//! Drops what stores keep too much of, and what is left of deleted ones, in small transactions beside everything else.
//!
//! | file | idea |
//! |---|---|
//! | `sweeper` | the task that does so by itself |
//! | `limits` | one step of a store that has too much |
//! | `dropped` | one step of a store that was deleted |

mod dropped;
mod limits;
mod sweeper;

use tito_core::Database;
use tito_core::keys;

pub(crate) use self::dropped::Dropped;
pub(crate) use self::sweeper::Sweeper;
use crate::error::Result;

/// How many stores are looked up at once.
const PAGE: usize = 100;

/// How many events or keys a step deletes at the most.
const STEP: usize = 200;

/// About how many bytes of events a step reads at the most.
const STEP_BYTES: u64 = 4 << 20;

/// Looks after all stores until nothing is left to drop. A store that can't be looked after is not in the way of the
/// others: the first error is returned in the end.
pub(crate) async fn sweep(engine: &Database) -> Result<()> {
    let mut outcome = Ok(());
    let mut rest = keys::event_stores();
    loop {
        let page = scan(engine, rest.clone()).await?;
        for (key, _) in &page {
            if let Some(name) = keys::parse_event_store(key) {
                outcome = outcome.and(limits::keep(engine, &name).await);
            }
        }
        match page.last() {
            Some((last, _)) if page.len() == PAGE => rest = rest.after(last),
            _ => break,
        }
    }
    let mut rest = keys::dropped_logs();
    loop {
        let page = scan(engine, rest.clone()).await?;
        for (key, _) in &page {
            if let Some(store) = keys::parse_dropped_log(key) {
                outcome = outcome.and(dropped::remove(engine, store).await);
            }
        }
        match page.last() {
            Some((last, _)) if page.len() == PAGE => rest = rest.after(last),
            _ => return outcome,
        }
    }
}

async fn scan(engine: &Database, range: keys::KeyRange) -> Result<Vec<tito_core::engine::KeyValue>> {
    let tx = engine.begin().await?;
    let page = tx.scan(range, PAGE).await;
    tx.rollback().await;
    Ok(page?)
}
