//! Drops what stores keep too much of, and what is left of deleted ones, in small transactions beside everything else.
//!
//! | file | idea |
//! |---|---|
//! | `sweeper` | the task that does so by itself |
//! | `step` | one step of a store that has too much |
//! | `dropped` | one step of a store that was deleted |

mod dropped;
mod step;
mod sweeper;

use tito_core::Database;
use tito_core::database::Walk;

pub(crate) use self::dropped::Dropped;
pub(crate) use self::sweeper::run;
use crate::catch_up::catch_up;
use crate::error::Result;
use crate::keys;

/// How many events or keys a step deletes at most.
const STEP: usize = 200;

/// About how many bytes a step reads at most.
const STEP_BYTES: usize = 4 << 20;

/// Looks after all stores until nothing is left to drop. A store that can't be looked after is not in the way of the
/// others: the first error is returned in the end.
pub(crate) async fn sweep(database: &Database) -> Result<()> {
    let mut outcome = Ok(());
    let mut stores = Walk::over(keys::event_stores());
    while let Some((page, _)) = stores.next(database).await? {
        for name in page.iter().filter_map(|(key, _)| keys::parse_event_store(key)) {
            outcome = outcome.and(catch_up(database, &name).await);
            outcome = outcome.and(step::keep(database, &name).await);
        }
    }
    let mut dropped_logs = Walk::over(keys::dropped_logs());
    while let Some((page, _)) = dropped_logs.next(database).await? {
        for store in page.iter().filter_map(|(key, _)| keys::parse_dropped_log(key)) {
            outcome = outcome.and(dropped::remove(database, store).await);
        }
    }
    outcome
}
