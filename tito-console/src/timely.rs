//! What takes too long is ended.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use tito_core::Database;

/// What it comes to within some time by the database's clock; `None`, and it is dropped, if it takes longer.
pub(crate) async fn within<T>(database: &Database, time: Duration, run: impl Future<Output = T>) -> Option<T> {
    let clock = database.clock();
    let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let end = clock.wait_until_monotonic(clock.monotonic_millis().saturating_add(millis));
    let run = pin!(run);
    tokio::select! {
        biased;
        done = run => Some(done),
        () = end => None,
    }
}
