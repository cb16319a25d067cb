//! Queues whose events somebody wants to have counted, where commits keep the number from then on.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

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
    /// When a queue was counted.
    counted: HashMap<String, u64>,
}

impl Wanted {
    pub(super) fn of(database: &Database) -> Arc<Self> {
        database.shared().value()
    }

    pub(super) fn add(&self, queue: &str, clock_millis: u64) {
        let mut state = self.locked();
        state.counted.retain(|_, at| clock_millis.saturating_sub(*at) < PAUSE_MILLIS);
        if !state.counted.contains_key(queue) && state.queues.insert(queue.to_string()) {
            self.notify.notify_one();
        }
    }

    async fn next(&self) -> String {
        loop {
            if let Some(queue) = self.locked().queues.pop_first() {
                // Another worker may wait for the next one.
                self.notify.notify_one();
                return queue;
            }
            self.notify.notified().await;
        }
    }

    fn locked(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts what somebody has asked for. Never ends.
pub(super) async fn count_wanted(database: &Database) {
    let wanted = Wanted::of(database);
    loop {
        let queue = wanted.next().await;
        match count_all(database, &queue, usize::MAX).await {
            Ok(true) => tracing::debug!(queue, "its events are counted, from now on commits keep their number"),
            Ok(false) => tracing::debug!(queue, "its events could not be counted, later again if somebody asks"),
            Err(error) => {
                tracing::warn!(queue, %error, "the events of a queue can't be counted, later again if somebody asks")
            }
        }
        wanted.locked().counted.insert(queue, database.clock().monotonic_millis());
    }
}
