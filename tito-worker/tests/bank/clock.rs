//! The cluster's time.

use std::time::{Duration, Instant};

use futures::FutureExt;
use futures::future::BoxFuture;
use tito_core::Timestamp;
use tito_core::clock::{Clock, SystemClock};
use tito_testkit::MockCluster;

/// How many times as fast as the machine's clock PD's clock goes: what waits for the end of a dead transaction's locks
/// waits for three quarters of a second instead of three.
const RATE: u64 = 4;

const LOOK_EVERY: Duration = Duration::from_millis(20);

/// What drives a cluster's timestamps, before jumps.
pub fn fast() -> impl Fn() -> u64 + Send + Sync {
    let (start, began) = (SystemClock.now_millis(), Instant::now());
    move || start + began.elapsed().as_millis() as u64 * RATE
}

/// The clock of the engines on a cluster: it shows what PD's clock shows, jumps included.
#[derive(Debug)]
pub struct ClusterClock(pub MockCluster);

impl Clock for ClusterClock {
    fn now_millis(&self) -> u64 {
        Timestamp::from_raw(self.0.timestamp()).physical_millis()
    }

    fn monotonic_millis(&self) -> u64 {
        self.now_millis()
    }

    fn wait_until_monotonic(&self, millis: u64) -> BoxFuture<'static, ()> {
        let clock = Self(self.0.clone());
        async move {
            while clock.monotonic_millis() < millis {
                tokio::time::sleep(LOOK_EVERY).await;
            }
        }
        .boxed()
    }
}
