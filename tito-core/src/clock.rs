//! Where an engine gets physical time from, and what every wait in Tito is measured by.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures::FutureExt;
use futures::future::BoxFuture;

/// Physical time, in two parts: a wall clock, which people can set, and a monotonic clock, which nobody can. The
/// embedded engine computes its [`now`](crate::engine::TitoEngine::now) from both; waits and measurements use the
/// monotonic one.
///
/// Applications use [`SystemClock`]; tests inject one that they turn by hand.
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// What the wall clock shows: milliseconds since the Unix epoch. It can jump, forward and back.
    fn now_millis(&self) -> u64;

    /// Milliseconds since an arbitrary point in time. Never goes back and never jumps; where the machine allows it, it
    /// runs on while the machine is suspended.
    fn monotonic_millis(&self) -> u64;

    /// Completes when [`monotonic_millis`](Clock::monotonic_millis) has reached `millis`, at once if it has already. It
    /// may be late, never early.
    fn wait_until_monotonic(&self, millis: u64) -> BoxFuture<'static, ()>;
}

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

/// A wait is cut into pieces of this length, as the runtime's timers stand still while the machine is suspended.
const LONGEST_SLEEP: Duration = Duration::from_secs(10);

impl Clock for SystemClock {
    fn now_millis(&self) -> u64 {
        // A clock before 1970 reads as 0; timestamps then go on counting from the last one.
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_millis() as u64)
    }

    #[cfg(any(target_os = "linux", target_os = "android"))]
    fn monotonic_millis(&self) -> u64 {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        let since_boot = "the boot-time clock counts up from 0";
        u64::try_from(time.tv_sec).expect(since_boot) * 1_000
            + u64::try_from(time.tv_nsec).expect(since_boot) / 1_000_000
    }

    /// The standard library's monotonic clock, which may stand still while the machine is suspended.
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    fn monotonic_millis(&self) -> u64 {
        static BEGAN: std::sync::LazyLock<std::time::Instant> = std::sync::LazyLock::new(std::time::Instant::now);
        u64::try_from(BEGAN.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn wait_until_monotonic(&self, millis: u64) -> BoxFuture<'static, ()> {
        async move {
            loop {
                let left = millis.saturating_sub(SystemClock.monotonic_millis());
                if left == 0 {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(left).min(LONGEST_SLEEP)).await;
            }
        }
        .boxed()
    }
}
