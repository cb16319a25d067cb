//! The source of physical time of an engine, and of every wait that Tito measures in an application's time.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures::FutureExt;
use futures::future::BoxFuture;

/// Physical time. An engine draws its timestamps from it (never letting them go back, whatever the clock does), and
/// workers wait on it until events fall due.
///
/// Applications use [`SystemClock`]; tests inject one that they turn by hand.
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// Milliseconds since the Unix epoch.
    fn now_millis(&self) -> u64;

    /// Completes when [`now_millis`](Clock::now_millis) has reached `millis`, at once if it has already. A clock that
    /// is set may complete it late, never early.
    fn wait_until(&self, millis: u64) -> BoxFuture<'static, ()>;
}

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

/// A wait is cut into pieces of this length, so that a clock that was set forward meanwhile is noticed.
const LONGEST_SLEEP: Duration = Duration::from_secs(30);

impl Clock for SystemClock {
    fn now_millis(&self) -> u64 {
        // A clock before 1970 reads as 0; timestamps then go on counting from the last one.
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_millis() as u64)
    }

    fn wait_until(&self, millis: u64) -> BoxFuture<'static, ()> {
        async move {
            loop {
                let left = millis.saturating_sub(SystemClock.now_millis());
                if left == 0 {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(left).min(LONGEST_SLEEP)).await;
            }
        }
        .boxed()
    }
}
