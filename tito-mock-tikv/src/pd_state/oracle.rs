//! Timestamps: the clock's milliseconds, and a counter within each.
use std::sync::{Arc, Mutex, PoisonError};

/// Tells the time in milliseconds since the epoch.
pub(crate) type Clock = Arc<dyn Fn() -> u64 + Send + Sync>;

/// The counter's bits in a timestamp.
const LOGICAL_BITS: u32 = 18;

/// One more than the counter's maximum.
const LOGICAL_END: u64 = 1 << LOGICAL_BITS;

/// Gives out timestamps, each greater than all before it, whatever the clock does.
pub(crate) struct Oracle {
    clock: Clock,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    physical: u64,
    /// The last counter value given out within `physical`.
    logical: u64,
    /// The sum of the clock's jumps, in milliseconds.
    jumped: i64,
}

/// The last timestamp of a batch; the others have the counter values just below it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Timestamp {
    pub(crate) physical: u64,
    pub(crate) logical: u64,
}

impl Timestamp {
    /// The timestamp as a single number, the form that transactions use.
    pub(crate) fn version(self) -> u64 {
        (self.physical << LOGICAL_BITS) | self.logical
    }
}

impl Oracle {
    pub(crate) fn new(clock: Clock) -> Self {
        Oracle { clock, state: Mutex::default() }
    }

    /// A batch of timestamps; `None` if it is empty or can't fit into one millisecond.
    pub(crate) fn next(&self, count: u32) -> Option<Timestamp> {
        let count = u64::from(count);
        if count == 0 || count >= LOGICAL_END {
            return None;
        }
        // The clock is a user's function: read it before taking the lock, in case it asks the cluster something.
        let clock = (self.clock)();
        let mut state = self.lock();
        let now = clock.saturating_add_signed(state.jumped);
        if now > state.physical {
            state.physical = now;
            state.logical = 0;
        } else if state.logical + count >= LOGICAL_END {
            state.physical += 1;
            state.logical = 0;
        }
        state.logical += count;
        Some(Timestamp { physical: state.physical, logical: state.logical })
    }

    /// The clock's time in milliseconds, including its jumps.
    pub(crate) fn now(&self) -> u64 {
        let clock = (self.clock)();
        clock.saturating_add_signed(self.lock().jumped)
    }

    /// Makes the clock jump, permanently.
    pub(crate) fn jump(&self, millis: i64) {
        let mut state = self.lock();
        state.jumped = state.jumped.saturating_add(millis);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    #[test]
    fn timestamps_grow_whatever_the_clock_does() {
        let time = Arc::new(AtomicU64::new(1000));
        let clock = time.clone();
        let oracle = Oracle::new(Arc::new(move || clock.load(Ordering::Relaxed)));
        assert_eq!(oracle.next(1), Some(Timestamp { physical: 1000, logical: 1 }));
        assert_eq!(oracle.next(5), Some(Timestamp { physical: 1000, logical: 6 }));
        time.store(900, Ordering::Relaxed);
        assert_eq!(oracle.next(1), Some(Timestamp { physical: 1000, logical: 7 }));
        oracle.jump(500);
        assert_eq!(oracle.next(1), Some(Timestamp { physical: 1400, logical: 1 }));
        oracle.jump(-500);
        assert_eq!(oracle.next(1), Some(Timestamp { physical: 1400, logical: 2 }));
        time.store(1401, Ordering::Relaxed);
        assert_eq!(oracle.next(1), Some(Timestamp { physical: 1401, logical: 1 }));
    }

    #[test]
    fn a_full_counter_carries_and_no_batch_spans_two_milliseconds() {
        let oracle = Oracle::new(Arc::new(|| 7));
        let most = (LOGICAL_END - 1) as u32;
        assert_eq!(oracle.next(most), Some(Timestamp { physical: 7, logical: LOGICAL_END - 1 }));
        assert_eq!(oracle.next(2), Some(Timestamp { physical: 8, logical: 2 }));
        assert_eq!(oracle.next(most), Some(Timestamp { physical: 9, logical: LOGICAL_END - 1 }));
        assert_eq!(oracle.next(0), None);
        assert_eq!(oracle.next(most + 1), None);
    }
}
