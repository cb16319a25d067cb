//! How many events of a subscription are handled at once.

use tokio::sync::{Semaphore, SemaphorePermit};

use crate::policy::{LimitedBy, RateLimiter, Subscription};

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

    /// Which limit keeps another handler from being started now. Those that wait for the rate have permits already.
    pub(super) fn limited_by(&self, clock_millis: u64) -> Option<LimitedBy> {
        if self.rate.as_ref().is_some_and(|rate| !rate.is_ready(clock_millis)) {
            return Some(LimitedBy::Rate);
        }
        (self.permits.available_permits() == 0).then_some(LimitedBy::Concurrency)
    }

    /// Waits until a handler may run, by turns with those who have asked before.
    pub(super) async fn may_run(&self) -> Option<SemaphorePermit<'_>> {
        self.permits.acquire().await.ok()
    }

    /// The same at once, if one may, until [`give_back`](Pace::give_back).
    pub(super) fn try_take(&self) -> bool {
        self.permits.try_acquire().map(SemaphorePermit::forget).is_ok()
    }

    /// The same, and waits.
    pub(super) async fn take(&self) {
        if let Some(permit) = self.may_run().await {
            permit.forget();
        }
    }

    /// Ends what [`take`](Pace::take) or [`try_take`](Pace::try_take) has begun.
    pub(super) fn give_back(&self) {
        self.permits.add_permits(1);
    }

    /// How many of `wanted` events may be handed out now, or when the next one may, in milliseconds.
    pub(super) fn may_start(&self, wanted: usize, clock_millis: u64) -> Result<usize, u64> {
        self.rate.as_ref().map_or(Ok(wanted), |rate| rate.start(wanted, clock_millis))
    }
}
