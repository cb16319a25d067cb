//! A clock that tests move by hand.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use tito_core::clock::{Clock, SystemClock};
use tokio::sync::{Notify, oneshot};

/// 2026-01-01T00:00:00Z, where a [`TestClock`] starts.
const FIRST_INSTANT_MILLIS: u64 = 1_767_225_600_000;

/// A [`Clock`] that stands still until a test moves it. Clones are handles to the same clock.
///
/// Its monotonic part starts at the time on the wall clock. [`advance`](TestClock::advance) moves both, as time does;
/// [`set`](TestClock::set) moves the wall clock alone, as people do. A wait completes as soon as the monotonic part
/// reaches its instant: nothing polls, and no real time passes.
///
/// ```
/// # use tito_test_engines as tito_testkit;
/// use std::sync::Arc;
/// use std::time::Duration;
/// use tito_core::clock::{Clock, SystemClock};
/// use tito_testkit::TestClock;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let clock = TestClock::new();
/// let in_an_hour = clock.monotonic_millis() + 3_600_000;
/// let reminder = tokio::spawn(clock.wait_until_monotonic(in_an_hour));
/// clock.advance(Duration::from_secs(3600));
/// reminder.await.unwrap();
///
/// let for_an_engine: Arc<dyn Clock> = clock.shared();
/// # assert_eq!(for_an_engine.now_millis(), in_an_hour);
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct TestClock(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    state: Mutex<State>,
    /// Notified whenever a wait begins.
    wait_began: Notify,
}

#[derive(Debug)]
struct State {
    /// The time on the wall clock.
    now_millis: u64,
    monotonic_millis: u64,
    /// By instant; the number tells waits for the same instant apart.
    waits: BTreeMap<(u64, u64), oneshot::Sender<()>>,
    next_number: u64,
    /// Set for engines whose clock can't be moved.
    follows_system: bool,
}

/// Moving a clock that follows the system's unwinds with this: the test can't run on its engine.
pub(crate) struct ClockCannotBeTurned;

impl Default for TestClock {
    fn default() -> Self {
        Self::new()
    }
}

impl TestClock {
    /// A clock that shows 2026-01-01T00:00:00Z.
    pub fn new() -> Self {
        Self::at(FIRST_INSTANT_MILLIS)
    }

    /// A clock that shows this many milliseconds since the Unix epoch.
    pub fn at(millis: u64) -> Self {
        let state = State {
            now_millis: millis,
            monotonic_millis: millis,
            waits: BTreeMap::new(),
            next_number: 0,
            follows_system: false,
        };
        Self(Arc::new(Inner { state: Mutex::new(state), wait_began: Notify::new() }))
    }

    /// This clock in the form that engines accept.
    pub fn shared(&self) -> Arc<dyn Clock> {
        Arc::new(self.clone())
    }

    /// Lets time pass: moves both parts forward by `by`, truncated to whole milliseconds.
    pub fn advance(&self, by: Duration) {
        self.lock().turned().pass(u64::try_from(by.as_millis()).unwrap_or(u64::MAX));
    }

    /// Lets time pass until the monotonic part reaches this, unless it already has: for example, an instant that [is
    /// waited for](TestClock::waited_for).
    pub fn advance_to(&self, monotonic_millis: u64) {
        let mut state = self.lock();
        let left = monotonic_millis.saturating_sub(state.monotonic_millis);
        state.turned().pass(left);
    }

    /// Lets time pass until the wall clock shows this many milliseconds since the Unix epoch, unless it already does.
    pub fn advance_to_wall(&self, millis: u64) {
        let mut state = self.lock();
        let left = millis.saturating_sub(state.now_millis);
        state.turned().pass(left);
    }

    /// Sets the wall clock to this many milliseconds since the Unix epoch, forward or back. The monotonic part stays
    /// where it is.
    pub fn set(&self, millis: u64) {
        self.lock().turned().now_millis = millis;
    }

    /// Lets the clock run by itself from now on. Moving it unwinds with [`ClockCannotBeTurned`].
    #[cfg(feature = "tikv")]
    pub(crate) fn follow_the_system(&self) {
        let mut state = self.lock();
        state.follows_system = true;
        state.now_millis = SystemClock.now_millis();
        state.monotonic_millis = SystemClock.monotonic_millis();
    }

    /// Skips a test, and prints that it does, on an engine whose clock can't be stopped or moved, which is a real
    /// cluster's. For facts that need a clock that stands still, the year it starts in, or faults that only an
    /// in-process cluster shows in bounded time. Facts that move the clock are skipped without this.
    pub fn must_stand_still(&self) {
        if self.lock().follows_system {
            std::panic::resume_unwind(Box::new(ClockCannotBeTurned));
        }
    }

    /// The earliest instant that a wait is for, in milliseconds of the monotonic part.
    pub fn next_wait(&self) -> Option<u64> {
        self.lock().waits.keys().next().map(|&(millis, _)| millis)
    }

    /// How many waits on this clock are pending.
    pub fn waits(&self) -> usize {
        self.lock().waits.len()
    }

    /// Completes once a task waits on this clock, and returns the earliest instant waited for. A test calls this before
    /// it moves the clock for a task that runs alongside it.
    pub async fn waited_for(&self) -> u64 {
        self.must_stand_still();
        loop {
            // Registered before checking the waits, so that a wait that begins in between is noticed.
            let began = self.0.wait_began.notified();
            if let Some(millis) = self.next_wait() {
                return millis;
            }
            began.await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn turned(&mut self) -> &mut Self {
        if self.follows_system {
            std::panic::resume_unwind(Box::new(ClockCannotBeTurned));
        }
        self
    }

    fn pass(&mut self, millis: u64) {
        self.now_millis = self.now_millis.saturating_add(millis);
        self.monotonic_millis = self.monotonic_millis.saturating_add(millis);
        while let Some(entry) = self.waits.first_entry() {
            if entry.key().0 > self.monotonic_millis {
                break;
            }
            // Whoever waited may have gone in the meantime.
            let _ = entry.remove().send(());
        }
    }
}

impl Clock for TestClock {
    fn now_millis(&self) -> u64 {
        let state = self.lock();
        if state.follows_system { SystemClock.now_millis() } else { state.now_millis }
    }

    fn monotonic_millis(&self) -> u64 {
        let state = self.lock();
        if state.follows_system { SystemClock.monotonic_millis() } else { state.monotonic_millis }
    }

    fn wait_until_monotonic(&self, millis: u64) -> BoxFuture<'static, ()> {
        if self.lock().follows_system {
            return SystemClock.wait_until_monotonic(millis);
        }
        let clock = self.clone();
        async move {
            let Some((_wait, reached)) = Wait::begin(clock, millis) else { return };
            // Only `Wait` drops the sender, and it lives as long as this future.
            let _ = reached.await;
        }
        .boxed()
    }
}

/// One wait. Dropping it removes the wait, so that cancelled ones don't pile up.
struct Wait {
    clock: TestClock,
    place: (u64, u64),
}

impl Wait {
    /// `None` if the instant has already been reached.
    fn begin(clock: TestClock, millis: u64) -> Option<(Self, oneshot::Receiver<()>)> {
        let mut state = clock.lock();
        if state.monotonic_millis >= millis {
            return None;
        }
        let (reach, reached) = oneshot::channel();
        let place = (millis, state.next_number);
        state.next_number += 1;
        state.waits.insert(place, reach);
        drop(state);
        clock.0.wait_began.notify_waiters();
        Some((Self { clock, place }, reached))
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        self.clock.lock().waits.remove(&self.place);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_clock_begins_with_the_year_2026() {
        assert_eq!(TestClock::new().now_millis(), 1_767_225_600_000);
    }

    #[tokio::test]
    async fn a_wait_completes_exactly_when_its_instant_is_reached() {
        let clock = TestClock::at(1000);
        let mut wait = clock.wait_until_monotonic(1500);
        assert!(futures::poll!(&mut wait).is_pending());
        clock.advance(Duration::from_millis(499));
        assert!(futures::poll!(&mut wait).is_pending());
        clock.advance(Duration::from_millis(1));
        assert!(futures::poll!(&mut wait).is_ready());
    }

    #[tokio::test]
    async fn a_wait_for_the_present_or_the_past_completes_at_once() {
        let clock = TestClock::at(1000);
        clock.wait_until_monotonic(1000).await;
        clock.wait_until_monotonic(0).await;
    }

    #[tokio::test]
    async fn a_clock_that_is_set_completes_nothing() {
        let clock = TestClock::at(1000);
        let mut wait = clock.wait_until_monotonic(1500);
        assert!(futures::poll!(&mut wait).is_pending());
        clock.set(500);
        assert_eq!(clock.now_millis(), 500);
        assert!(futures::poll!(&mut wait).is_pending());
        clock.set(2000);
        assert!(futures::poll!(&mut wait).is_pending());
        clock.advance(Duration::from_millis(500));
        assert_eq!((clock.now_millis(), clock.monotonic_millis()), (2500, 1500));
        assert!(futures::poll!(&mut wait).is_ready());
    }

    #[tokio::test]
    async fn a_cancelled_wait_is_forgotten() {
        let clock = TestClock::at(1000);
        let mut wait = clock.wait_until_monotonic(1500);
        assert!(futures::poll!(&mut wait).is_pending());
        assert_eq!(clock.next_wait(), Some(1500));
        drop(wait);
        assert_eq!(clock.next_wait(), None);
    }

    #[tokio::test]
    async fn a_test_can_wait_until_a_task_waits() {
        let clock = TestClock::at(0);
        let task = tokio::spawn(clock.wait_until_monotonic(70));
        let instant = clock.waited_for().await;
        assert_eq!(instant, 70);
        clock.advance_to(instant);
        task.await.unwrap();
    }
}
