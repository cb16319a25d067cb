//! Notices that the engine's time was set.

use std::time::Duration;

use tito_core::{Database, Timestamp};
use tokio::sync::watch;

/// How often to ask for the time. Nothing else may do so in an idle process.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Reports [`since`](tito_core::Now::since) when time was set, as soon as this is known. Never ends. If other processes
/// write too, partitions are read often enough to notice by themselves.
pub(super) async fn watch(database: &Database, tell: watch::Sender<Option<Timestamp>>) {
    if !database.is_only_writer() {
        return std::future::pending().await;
    }
    loop {
        // A closed or failing engine sets no time.
        if let Ok(now) = database.now().await {
            let before = *tell.borrow();
            tell.send_if_modified(|since| since.replace(now.since()) != Some(now.since()));
            if before.is_some_and(|before| before != now.since()) {
                tracing::warn!(%now, "the database's time was set, so all partitions are read again");
            }
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
