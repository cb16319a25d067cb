//! How many events of a subscription are handled at once.

use tokio::sync::{Semaphore, SemaphorePermit};

use crate::policy::{RateLimiter, Subscription};

pub(super) struct Pace {
    /// How many handlers run at once, in all partitions together.
    pub(super) concurrency: usize,
    permits: Semaphore,
    /// How many events a handler gets together.
    pub(super) batch: usize,
    rate: Option<RateLimiter>,
}

impl Pace {
    pub(super) fn new(subscription: &Subscription, takes_batches: bool) -> Self {
        Self {
            concurrency: subscription.concurrency,
            permits: Semaphore::new(subscription.concurrency),
            batch: if takes_batches { subscription.batch } else { 1 },
            rate: subscription.rate_limit.map(RateLimiter::new),
        }
    }

    /// Waits until a handler may run, by turns with those who have asked before.
    pub(super) async fn may_run(&self) -> Option<SemaphorePermit<'_>> {
        self.permits.acquire().await.ok()
    }

    /// How many of `wanted` events may be handed out now, or when the next one may, in milliseconds.
    pub(super) fn may_start(&self, wanted: usize, clock_millis: u64) -> Result<usize, u64> {
        self.rate.as_ref().map_or(Ok(wanted), |rate| rate.start(wanted, clock_millis))
    }
}
