//! How long one call may take, and how long it waits between attempts.

use std::future::Future;
use std::time::Duration;

use tokio::time::Instant;

/// The end of the time that a call has. Real time, whatever clock the engine was given: it is about what does not
/// answer, and that does not answer in real time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadline {
    at: Instant,
    allowed: Duration,
}

/// That a deadline passed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Passed;

impl Deadline {
    pub(super) fn after(allowed: Duration) -> Self {
        // Far enough for "never", where the sum does not fit.
        const NEVER: Duration = Duration::from_secs(365 * 24 * 3600);
        Self { at: Instant::now() + allowed.min(NEVER), allowed }
    }

    /// This deadline, or one `allowed` from now if that is sooner.
    pub(super) fn within(self, allowed: Duration) -> Self {
        let sooner = Self::after(allowed);
        if sooner.at < self.at { sooner } else { self }
    }

    pub(super) fn allowed_millis(&self) -> u64 {
        u64::try_from(self.allowed.as_millis()).unwrap_or(u64::MAX)
    }

    /// Waits for `future` until the deadline at the latest, and drops it then.
    pub(super) async fn bound<F: Future>(&self, future: F) -> Result<F::Output, Passed> {
        tokio::time::timeout_at(self.at, future).await.map_err(|_| Passed)
    }

    pub(super) fn is_past(&self) -> bool {
        Instant::now() >= self.at
    }

    /// Waits before the attempt after `attempt`, unless the deadline would pass meanwhile.
    pub(super) async fn pause(&self, attempt: u32) -> Result<(), Passed> {
        let until = Instant::now() + backoff(attempt);
        if until >= self.at {
            return Err(Passed);
        }
        tokio::time::sleep_until(until).await;
        Ok(())
    }
}

/// Grows up to a quarter of a second, at random in its upper half, so that those who met don't meet again.
fn backoff(attempt: u32) -> Duration {
    const FIRST_MILLIS: u64 = 4;
    const LONGEST_MILLIS: u64 = 250;
    let cap = (FIRST_MILLIS << attempt.min(8)).min(LONGEST_MILLIS) * 1000;
    Duration::from_micros(fastrand::u64(cap / 2..=cap))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_quarter_of_a_second() {
        for attempt in 1..100 {
            let pause = backoff(attempt);
            assert!(pause >= Duration::from_millis(4) && pause <= Duration::from_millis(250), "{pause:?}");
        }
        assert!(backoff(20) >= Duration::from_millis(125));
    }

    #[tokio::test]
    async fn what_never_answers_is_dropped_at_the_deadline() {
        let deadline = Deadline::after(Duration::from_millis(5));
        assert_eq!(deadline.bound(std::future::pending::<()>()).await, Err(Passed));
        assert!(deadline.is_past());
        assert_eq!(deadline.pause(1).await, Err(Passed));
    }

    #[tokio::test]
    async fn the_longest_deadline_is_no_overflow() {
        assert_eq!(Deadline::after(Duration::MAX).bound(async { 1 }).await, Ok(1));
    }
}
