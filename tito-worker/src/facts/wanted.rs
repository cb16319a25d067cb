//! Queues whose events somebody wants to have counted, where commits keep the number from then on.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tito_core::Database;
use tokio::sync::Notify;

use super::counting::count_all;

/// A queue is counted again, where it has to be, this much later in milliseconds of the monotonic clock.
const PAUSE_MILLIS: u64 = 60_000;

/// What is to be counted by any worker of this process.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    state: Mutex<State>,
    notify: Notify,
}

#[derive(Debug, Default)]
struct State {
    queues: BTreeSet<String>,
    /// Those that are being counted. Whoever asks meanwhile asks for the same count: another one behind it would forget what
    /// it has found.
    counting: BTreeSet<String>,
    /// When a queue was counted.
    counted: HashMap<String, u64>,
}

impl Wanted {
    pub(super) fn of(database: &Database) -> &Self {
        database.shared().value()
    }

    pub(super) fn add(&self, queue: &str, clock_millis: u64) {
        let mut state = self.locked();
        state.counted.retain(|_, at| clock_millis.saturating_sub(*at) < PAUSE_MILLIS);
        let is_known = state.counted.contains_key(queue) || state.counting.contains(queue);
        if !is_known && state.queues.insert(queue.to_string()) {
            self.notify.notify_one();
        }
    }

    async fn next(&self) -> Taken<'_> {
        loop {
            if let Some(taken) = self.take() {
                // Another worker may wait for the next one.
                self.notify.notify_one();
                return taken;
            }
            self.notify.notified().await;
        }
    }

    fn take(&self) -> Option<Taken<'_>> {
        let mut state = self.locked();
        let queue = state.queues.pop_first()?;
        state.counting.insert(queue.clone());
        drop(state);
        Some(Taken { wanted: self, queue, counted: None })
    }

    fn locked(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A queue that is being counted. Dropped before that is over, it is still to be counted, by another worker.
struct Taken<'a> {
    wanted: &'a Wanted,
    queue: String,
    /// When it was.
    counted: Option<u64>,
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        let mut state = self.wanted.locked();
        state.counting.remove(&self.queue);
        let queue = std::mem::take(&mut self.queue);
        match self.counted {
            Some(at) => _ = state.counted.insert(queue, at),
            None => {
                state.queues.insert(queue);
                self.wanted.notify.notify_one();
            }
        }
    }
}

/// Counts what somebody has asked for. Never ends.
pub(super) async fn count_wanted(database: &Database) {
    let wanted = Wanted::of(database);
    loop {
        let mut taken = wanted.next().await;
        let queue = taken.queue.as_str();
        match count_all(database, queue, usize::MAX).await {
            Ok(true) => tracing::debug!(queue, "its events are counted, from now on commits keep their number"),
            Ok(false) => tracing::debug!(queue, "its events could not be counted, later again if somebody asks"),
            Err(error) => {
                tracing::warn!(queue, %error, "the events of a queue can't be counted, later again if somebody asks")
            }
        }
        taken.counted = Some(database.clock().monotonic_millis());
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn who_asks_while_it_is_counted_waits_for_the_same_count() {
        let wanted = Wanted::default();
        wanted.add("mail", 0);
        let mut taken = wanted.take().unwrap();
        wanted.add("mail", 5_000);
        assert!(wanted.take().is_none(), "it is counted already");
        taken.counted = Some(7_000);
        drop(taken);
        wanted.add("mail", 7_000);
        assert!(wanted.take().is_none(), "it was counted just now");
        wanted.add("mail", 7_000 + PAUSE_MILLIS);
        assert_eq!(wanted.take().unwrap().queue, "mail", "something has changed, nobody knows what");
    }

    #[test]
    fn a_count_that_is_dropped_is_left_to_another_worker() {
        let wanted = Wanted::default();
        wanted.add("mail", 0);
        drop(wanted.take().unwrap());
        assert_eq!(wanted.take().unwrap().queue, "mail");
    }
}
