//! How many events of a subscription are handled at once.

use crate::policy::{RateLimiter, Subscription};

pub(super) struct Pace {
    /// How many handlers run at once in a partition.
    pub(super) concurrency: usize,
    /// How many events a handler gets together.
    pub(super) batch: usize,
    rate: Option<RateLimiter>,
}

impl Pace {
    pub(super) fn new(subscription: &Subscription, takes_batches: bool) -> Self {
        Self {
            concurrency: subscription.concurrency,
            batch: if takes_batches { subscription.batch } else { 1 },
            rate: subscription.rate_limit.map(RateLimiter::new),
        }
    }

    /// How many of `wanted` events may be handed out now, or when the next one may, in milliseconds.
    pub(super) fn may_start(&self, wanted: usize, now_millis: u64) -> Result<usize, u64> {
        self.rate.as_ref().map_or(Ok(wanted), |rate| rate.start(wanted, now_millis))
    }
}
