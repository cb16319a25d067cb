//! When a failed event is tried again.

use std::time::Duration;

/// How many attempts an event has, and how long apart: delays that grow exponentially, with jitter.
///
/// ```
/// use std::time::Duration;
/// use tito_worker::RetryPolicy;
/// let patient = RetryPolicy::default().attempts(20).first_delay(Duration::from_secs(5));
/// ```
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub struct RetryPolicy {
    attempts: u32,
    first_delay: Duration,
    longest_delay: Duration,
    jitter: f64,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            attempts: 10,
            first_delay: Duration::from_secs(1),
            longest_delay: Duration::from_secs(3_600),
            jitter: 0.25,
        }
    }
}

impl RetryPolicy {
    /// How many attempts an event has in all, at least one; then it goes to the dead letters. Default 10.
    pub fn attempts(mut self, attempts: u32) -> Self {
        self.attempts = attempts.max(1);
        self
    }

    /// The delay after the first failure; each later one is twice the one before. Default 1 s. Events fall due at whole
    /// seconds, so delays are rounded up to them.
    pub fn first_delay(mut self, delay: Duration) -> Self {
        self.first_delay = delay;
        self
    }

    /// The longest delay. Default 1 h.
    pub fn longest_delay(mut self, delay: Duration) -> Self {
        self.longest_delay = delay;
        self
    }

    /// How much a delay varies up or down at random, as a fraction from 0 to 1, so that events that failed together are
    /// not retried together. Default 0.25.
    pub fn jitter(mut self, jitter: f64) -> Self {
        self.jitter = if jitter.is_finite() { jitter.clamp(0.0, 1.0) } else { 0.0 };
        self
    }

    /// How many attempts an event has in all.
    pub(crate) fn most_attempts(&self) -> u32 {
        self.attempts
    }

    /// Whether an event that has failed `failures` times fails for good.
    pub(crate) fn is_exhausted(&self, failures: u32) -> bool {
        failures >= self.attempts
    }

    /// The delay after the `failures`-th failure; `random` from 0 to 1 decides the jitter.
    pub(crate) fn delay(&self, failures: u32, random: f64) -> Duration {
        let doublings = failures.saturating_sub(1).min(31);
        let delay = self.first_delay.saturating_mul(1 << doublings).min(self.longest_delay);
        // At most twice the longest delay, which a Duration of any sensible policy has room for.
        Duration::try_from_secs_f64(delay.as_secs_f64() * (1.0 + self.jitter * (2.0 * random - 1.0))).unwrap_or(delay)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_the_longest() {
        let policy = RetryPolicy::default().jitter(0.0).longest_delay(Duration::from_secs(10));
        let delays: Vec<u64> = (1..=6).map(|failures| policy.delay(failures, 0.7).as_secs()).collect();
        assert_eq!(delays, [1, 2, 4, 8, 10, 10]);
        assert_eq!(policy.delay(u32::MAX, 0.0), Duration::from_secs(10));
    }

    #[test]
    fn jitter_stays_within_its_part() {
        let policy = RetryPolicy::default().jitter(0.5).first_delay(Duration::from_secs(100));
        assert_eq!(policy.delay(1, 0.0), Duration::from_secs(50));
        assert_eq!(policy.delay(1, 0.5), Duration::from_secs(100));
        assert_eq!(policy.delay(1, 1.0), Duration::from_secs(150));
    }

    #[test]
    fn extreme_policies_do_not_overflow() {
        let policy = RetryPolicy::default().first_delay(Duration::MAX).longest_delay(Duration::MAX).jitter(f64::NAN);
        assert!(policy.delay(40, 1.0) >= Duration::from_secs(u64::MAX / 2));
        assert!(RetryPolicy::default().attempts(0).is_exhausted(1));
    }
}
