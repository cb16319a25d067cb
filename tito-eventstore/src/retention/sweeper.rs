//! The task that keeps stores within their limits.

use std::time::Duration;

use tito_core::Database;

use super::sweep;
use crate::logger::Logger;

/// How long the task rests between two looks at all stores, about: several processes should not look at once.
const PAUSE: Duration = Duration::from_secs(10);

/// Looks after all stores now and then, until the engine is closed.
pub(crate) async fn run(database: Database, logger: Logger) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(PAUSE.mul_f64(0.5 + fastrand::f64())) => {}
            _ = database.closed() => return,
        }
        if let Err(error) = sweep(&database).await {
            if error.is_closed() {
                return;
            }
            logger.with(
                || tracing::warn!(%error, "events above the limits of event stores could not be dropped, trying later"),
            );
        }
    }
}
