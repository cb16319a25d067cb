//! How many events of a subscription are handled at once, and how fast: as the subscription says, or an operator
//! instead.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tito_core::event::QueueLimits;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::policy::{LimitedBy, RateLimit, RateLimiter, Share, Subscription};

/// The longest time before the limit is checked for changes.
const ASK_AGAIN_MILLIS: u64 = 1_000;

pub(super) struct Pace {
    /// The subscription's own settings.
    said: Said,
    /// How many handlers run at once, across all partitions.
    concurrency: AtomicUsize,
    permits: Semaphore,
    /// How many excess permits are out since the concurrency was lowered.
    too_many: AtomicUsize,
    /// How many events a handler gets at a time.
    pub(super) batch: usize,
    is_limited: AtomicBool,
    rate: Mutex<Limited>,
}

#[derive(Clone, Copy)]
struct Said {
    concurrency: usize,
    rate: Option<RateLimit>,
}

/// What limits the rate.
struct Limited {
    by: Option<RateLimiter>,
    /// What an operator has set, and this worker's share of it.
    set: (QueueLimits, Share),
}

/// Permission to run one handler.
pub(super) struct MayRun<'a> {
    pace: &'a Pace,
    permit: Option<SemaphorePermit<'a>>,
}

impl Drop for MayRun<'_> {
    fn drop(&mut self) {
        if self.pace.has_too_many() {
            self.permit.take().into_iter().for_each(SemaphorePermit::forget);
        }
    }
}

impl Pace {
    pub(super) fn new(subscription: &Subscription, takes_batches: bool) -> Self {
        let said = Said { concurrency: subscription.concurrency, rate: subscription.rate_limit };
        let by = said.rate.map(RateLimiter::new);
        Self {
            said,
            concurrency: AtomicUsize::new(said.concurrency),
            permits: Semaphore::new(said.concurrency),
            too_many: AtomicUsize::new(0),
            batch: if takes_batches { subscription.batch } else { 1 },
            is_limited: AtomicBool::new(by.is_some()),
            rate: Mutex::new(Limited { by, set: (QueueLimits::default(), Share::WHOLE) }),
        }
    }

    /// Which limit keeps another handler from starting now. Those that wait for the rate already have permits.
    pub(super) fn limited_by(&self, clock_millis: u64) -> Option<LimitedBy> {
        if self.lock().by.as_ref().is_some_and(|rate| !rate.is_ready(clock_millis)) {
            return Some(LimitedBy::Rate);
        }
        (self.permits.available_permits() == 0).then_some(LimitedBy::Concurrency)
    }

    /// Applies what an operator has set for the queue, of which a part is handled here. Running handlers continue.
    pub(super) fn go_by(&self, limits: &QueueLimits, share: Share) {
        let concurrency = limits.concurrency.map_or(self.said.concurrency, |handlers| {
            usize::try_from(handlers).unwrap_or(usize::MAX).clamp(1, Semaphore::MAX_PERMITS)
        });
        self.set_concurrency(concurrency);
        let mut limited = self.lock();
        let (known, known_share) = &limited.set;
        let is_same = known.rate == limits.rate && (limits.rate.is_none() || *known_share == share);
        if is_same {
            return;
        }
        let set = limits.rate.map(|rate| RateLimiter::part_of(rate, share));
        let new = set.or_else(|| self.said.rate.map(RateLimiter::new));
        limited.by = match (new, &limited.by) {
            (Some(new), Some(before)) => Some(new.after(before)),
            (new, _) => new,
        };
        limited.set = (limits.clone(), share);
        self.is_limited.store(limited.by.is_some(), Ordering::Release);
    }

    /// Must not be called concurrently.
    fn set_concurrency(&self, concurrency: usize) {
        let before = self.concurrency.swap(concurrency, Ordering::Relaxed);
        if concurrency >= before {
            let more = concurrency - before;
            let mut kept = 0;
            while kept < more && self.has_too_many() {
                kept += 1;
            }
            self.permits.add_permits(more - kept);
        } else {
            let fewer = before - concurrency;
            let forgotten = self.permits.forget_permits(fewer);
            self.too_many.fetch_add(fewer - forgotten, Ordering::Relaxed);
        }
    }

    /// Whether to keep a permit from being used again; if so, the caller has to do that.
    fn has_too_many(&self) -> bool {
        let one_less = |count: usize| count.checked_sub(1);
        self.too_many.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less).is_ok()
    }

    /// How many handlers run at once, across all partitions.
    pub(super) fn concurrency(&self) -> usize {
        self.concurrency.load(Ordering::Relaxed)
    }

    /// Waits until a handler may run, in the order of requests.
    pub(super) async fn may_run(&self) -> MayRun<'_> {
        MayRun { pace: self, permit: self.permits.acquire().await.ok() }
    }

    /// The same without waiting, if one may run, until [`give_back`](Pace::give_back).
    pub(super) fn try_take(&self) -> bool {
        self.permits.try_acquire().map(SemaphorePermit::forget).is_ok()
    }

    /// The same, but waits.
    pub(super) async fn take(&self) {
        if let Ok(permit) = self.permits.acquire().await {
            permit.forget();
        }
    }

    /// Ends what [`take`](Pace::take) or [`try_take`](Pace::try_take) started.
    pub(super) fn give_back(&self) {
        if !self.has_too_many() {
            self.permits.add_permits(1);
        }
    }

    /// How many of `wanted` events may be handed out now, or when to ask again, in milliseconds.
    pub(super) fn may_start(&self, wanted: usize, clock_millis: impl FnOnce() -> u64) -> Result<usize, u64> {
        if !self.is_limited.load(Ordering::Acquire) {
            return Ok(wanted);
        }
        let clock_millis = clock_millis();
        let started = self.lock().by.as_ref().map_or(Ok(wanted), |rate| rate.start(wanted, clock_millis));
        started.map_err(|at| at.min(clock_millis.saturating_add(ASK_AGAIN_MILLIS)))
    }

    fn lock(&self) -> MutexGuard<'_, Limited> {
        self.rate.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use tito_core::event::Rate;

    use super::*;

    fn pace() -> Pace {
        Pace::new(&Subscription::default().concurrency(3), false)
    }

    fn takes(pace: &Pace) -> usize {
        std::iter::from_fn(|| pace.try_take().then_some(())).count()
    }

    #[test]
    fn concurrency_that_is_lowered_holds_for_handlers_that_begin_from_then_on() {
        let pace = pace();
        assert_eq!(takes(&pace), 3);
        pace.go_by(&QueueLimits::default().concurrency(1), Share::WHOLE);
        pace.give_back();
        pace.give_back();
        assert_eq!(takes(&pace), 0, "one still runs");
        pace.give_back();
        assert_eq!(takes(&pace), 1);
        pace.go_by(&QueueLimits::default().concurrency(0), Share::WHOLE);
        pace.go_by(&QueueLimits::default().concurrency(5), Share::WHOLE);
        assert_eq!(takes(&pace), 4);
        pace.go_by(&QueueLimits::default(), Share::WHOLE);
        pace.go_by(&QueueLimits::default().concurrency(4), Share::WHOLE);
        (0..5).for_each(|_| pace.give_back());
        assert_eq!(takes(&pace), 4);
    }

    #[tokio::test]
    async fn a_handler_that_has_waited_gives_back_what_may_still_be_used() {
        let pace = pace();
        let running = [pace.may_run().await, pace.may_run().await, pace.may_run().await];
        pace.go_by(&QueueLimits::default().concurrency(2), Share::WHOLE);
        assert_eq!(pace.concurrency(), 2);
        drop(running);
        assert_eq!(takes(&pace), 2);
    }

    #[test]
    fn an_operators_rate_is_in_place_of_the_subscriptions_while_it_is_set() {
        let limit = RateLimit::new(1, std::time::Duration::from_secs(3_600));
        let pace = Pace::new(&Subscription::default().rate_limit(limit), false);
        assert_eq!(pace.may_start(5, || 0), Ok(1));
        assert_eq!(pace.may_start(5, || 0), Err(1_000), "it is asked again soon, as the limit may be another by then");
        let set = QueueLimits::default().rate(Rate::per_second(100));
        pace.go_by(&set, Share::WHOLE);
        assert_eq!(pace.may_start(5, || 2_000), Err(2_010), "what the other would have waited for is not");
        assert_eq!(pace.may_start(9, || 2_050), Ok(5));
        pace.go_by(&set, Share::new(1, 10));
        assert_eq!(pace.may_start(5, || 3_000), Ok(1));
        pace.go_by(&QueueLimits::default(), Share::new(1, 10));
        assert_eq!(pace.may_start(1, || 3_600_000), Ok(1));
        assert_eq!(pace.may_start(1, || 3_602_000), Err(3_603_000));
    }
}
