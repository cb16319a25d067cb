//! How fast handlers are started.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tito_core::event::Rate;

/// At most this many events in a period of time, for all partitions of a subscription in one worker.
///
/// Up to a tenth of `events` (at least one) can be started at once after a pause; then they are spread evenly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    events: u32,
    per: Duration,
}

impl RateLimit {
    /// At most `events`, at least 1, in each `per`, by the engine's clock.
    pub fn new(events: u32, per: Duration) -> Self {
        Self { events: events.max(1), per }
    }
}

/// Spreads starts evenly: the generic cell rate algorithm (ITU-T I.371), which needs one number.
#[derive(Debug)]
pub(crate) struct RateLimiter {
    /// Between two starts.
    interval_nanos: u64,
    /// How far starts may run ahead.
    burst_nanos: u64,
    /// When the next start would be due if all were spread evenly.
    next_nanos: Mutex<u64>,
}

/// A part of something that is shared out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Share {
    pub(crate) own: u64,
    /// At least one.
    pub(crate) all: u64,
}

impl Share {
    /// So many of so many. Of none there is no part, and of nothing at all, one.
    pub(crate) fn new(own: u64, all: u64) -> Self {
        let all = all.max(1);
        Self { own: own.clamp(1, all), all }
    }

    /// All of it.
    pub(crate) const WHOLE: Self = Self { own: 1, all: 1 };
}

impl RateLimiter {
    pub(crate) fn new(limit: RateLimit) -> Self {
        let per_nanos = u64::try_from(limit.per.as_nanos()).unwrap_or(u64::MAX);
        let interval_nanos = per_nanos / u64::from(limit.events);
        Self::every(interval_nanos, u64::from(limit.events / 10))
    }

    /// The part of a rate that is shared out.
    pub(crate) fn part_of(rate: Rate, share: Share) -> Self {
        let per_nanos = u128::from(rate.millis()) * 1_000_000 * u128::from(share.all);
        let events = u64::from(rate.at_least_one()).saturating_mul(share.own);
        let interval_nanos = u64::try_from(per_nanos / u128::from(events)).unwrap_or(u64::MAX);
        Self::every(interval_nanos, events / share.all / 10)
    }

    fn every(interval_nanos: u64, burst: u64) -> Self {
        Self { interval_nanos, burst_nanos: interval_nanos.saturating_mul(burst.max(1) - 1), next_nanos: Mutex::new(0) }
    }

    /// Goes on where another limiter was, so that changing the limit again and again starts no more.
    pub(crate) fn after(self, before: &Self) -> Self {
        let next = *before.next_nanos.lock().unwrap_or_else(PoisonError::into_inner);
        Self { next_nanos: Mutex::new(next), ..self }
    }

    /// Whether one may be started now.
    pub(crate) fn is_ready(&self, clock_millis: u64) -> bool {
        let next = *self.next_nanos.lock().unwrap_or_else(PoisonError::into_inner);
        next.saturating_sub(clock_millis.saturating_mul(1_000_000)) <= self.burst_nanos
    }

    /// Starts as many as may be started now, at most `wanted` and at least one; else says when one may be, in
    /// milliseconds.
    pub(crate) fn start(&self, wanted: usize, clock_millis: u64) -> Result<usize, u64> {
        let now_nanos = clock_millis.saturating_mul(1_000_000);
        let mut next = self.next_nanos.lock().unwrap_or_else(PoisonError::into_inner);
        // A clock that was set back must not stop everything until it is where it was.
        let furthest = now_nanos.saturating_add(self.burst_nanos).saturating_add(self.interval_nanos);
        *next = (*next).min(furthest);
        let ahead = next.saturating_sub(now_nanos);
        if ahead > self.burst_nanos {
            return Err(now_nanos.saturating_add(ahead - self.burst_nanos).div_ceil(1_000_000));
        }
        let room = (self.burst_nanos - ahead).checked_div(self.interval_nanos).map_or(u64::MAX, |room| room + 1);
        let started = wanted.min(usize::try_from(room).unwrap_or(usize::MAX));
        *next = now_nanos.saturating_add(ahead).saturating_add(self.interval_nanos.saturating_mul(started as u64));
        Ok(started)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Starts as many as it may within `millis`, one after the other.
    fn started_within(limiter: &RateLimiter, from: u64, millis: u64) -> usize {
        let (mut now, mut started) = (from, 0);
        while now < from + millis {
            match limiter.start(1, now) {
                Ok(count) => started += count,
                Err(at) => {
                    assert!(at > now);
                    now = at;
                }
            }
        }
        started
    }

    #[test]
    fn no_more_are_started_than_the_limit_and_its_burst_allow() {
        let limiter = RateLimiter::new(RateLimit::new(100, Duration::from_secs(1)));
        assert_eq!(started_within(&limiter, 1_000_000, 10_000), 1_009);
        // After a pause there is a burst again, not one for all of the pause.
        assert_eq!(started_within(&limiter, 2_000_000, 1_000), 109);
    }

    #[test]
    fn many_are_started_at_once_up_to_the_burst() {
        let limiter = RateLimiter::new(RateLimit::new(100, Duration::from_secs(1)));
        assert_eq!(limiter.start(64, 5_000), Ok(10));
        assert_eq!(limiter.start(64, 5_000), Err(5_010));
        assert_eq!(limiter.start(64, 5_030), Ok(3));
    }

    #[test]
    fn a_clock_that_is_set_back_delays_by_one_burst_at_most() {
        let limiter = RateLimiter::new(RateLimit::new(1, Duration::from_secs(60)));
        assert_eq!(limiter.start(1, 10_000_000), Ok(1));
        assert_eq!(limiter.start(1, 1_000_000), Err(1_060_000));
        assert_eq!(limiter.start(1, 1_030_000), Err(1_060_000));
        assert_eq!(limiter.start(1, 1_060_000), Ok(1));
    }

    #[test]
    fn the_parts_of_a_rate_are_together_no_more_than_it() {
        for (own, all) in [(1, 16), (4, 16), (5, 16), (16, 16)] {
            let limiter = RateLimiter::part_of(Rate::per_second(100), Share::new(own, all));
            let most = 100 * own / all * 10;
            let burst = (10 * own / all).max(1);
            let started = started_within(&limiter, 1_000_000, 10_000) as u64;
            assert!((most..=most + 10 + burst).contains(&started), "{own} of {all}: {started}");
        }
        let none = RateLimiter::part_of(Rate { events: 0, seconds: 0 }, Share::new(0, 0));
        assert_eq!(started_within(&none, 0, 3_000), 3);
        let rare = RateLimiter::part_of(Rate { events: 1, seconds: u32::MAX }, Share::new(1, 10_000));
        assert_eq!(started_within(&rare, 0, 1_000_000), 1);
        let often = RateLimiter::part_of(Rate::per_second(u32::MAX), Share::new(10_000, 10_000));
        assert_eq!(often.start(5, 0), Ok(5));
    }

    #[test]
    fn a_limit_that_is_changed_again_and_again_starts_no_more() {
        let mut limiter = RateLimiter::part_of(Rate::per_minute(6), Share::WHOLE);
        let mut started = 0;
        for second in 0..60 {
            started += usize::from(limiter.start(1, second * 1_000).is_ok());
            limiter = RateLimiter::part_of(Rate::per_minute(6), Share::WHOLE).after(&limiter);
        }
        assert_eq!(started, 6);
        let faster = RateLimiter::part_of(Rate::per_second(10), Share::WHOLE).after(&limiter);
        assert_eq!(faster.start(1, 51_000), Err(51_100), "what the slow one would have waited for is not waited for");
    }

    #[test]
    fn no_limit_overflows() {
        let limiter = RateLimiter::new(RateLimit::new(0, Duration::MAX));
        assert_eq!(limiter.start(5, u64::MAX), Ok(1));
        let limiter = RateLimiter::new(RateLimit::new(u32::MAX, Duration::ZERO));
        assert_eq!(limiter.start(5, 0), Ok(5));
    }
}
