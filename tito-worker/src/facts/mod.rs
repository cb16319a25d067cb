//! What an operator wants to see of a queue at a glance, at a cost that does not grow with its size.
//!
//! | file | idea |
//! |---|---|
//! | `backlog` | how much is due |
//! | `counting` | counts of events, which stop at a bound |
//! | `wanted` | what is counted once, where commits keep the number from then on |
//! | `owners` | what the owners of partitions count while somebody looks, elsewhere |
//! | `activity` | what was done, by minute |
//! | `gauges` | the same, and who works, as metrics |

mod activity;
mod backlog;
mod counting;
mod gauges;
mod owners;
mod wanted;

use std::collections::BTreeSet;

use tito_core::Database;

pub use activity::MinuteActivity;
pub use backlog::Backlog;
pub(crate) use gauges::keep_gauges;
pub(crate) use owners::sweep_backlogs;

/// Counts what is due of the queues that a worker serves, while somebody looks. Never ends.
pub(crate) async fn count_backlogs(
    database: &Database,
    served: &BTreeSet<String>,
    is_owned: impl Fn(&str, u16) -> bool + Sync,
) {
    if database.is_only_writer() {
        wanted::count_wanted(database).await;
    } else {
        owners::count_looked_at(database, served, &is_owned).await;
    }
}
