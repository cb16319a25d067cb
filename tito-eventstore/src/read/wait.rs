//! Waits until a store may have more events.

use std::time::Duration;

use tito_core::Database;
use tito_core::engine::Listener;

use crate::error::Result;
use crate::store::EventStore;

/// Where other processes append too, how soon is looked again after there was something.
const SHORTEST_POLL: Duration = Duration::from_millis(10);

/// And how seldom after there was nothing for long.
const LONGEST_POLL: Duration = Duration::from_millis(500);

/// Learns of appends: of those of this process at once, of those of others by looking now and then.
pub(crate) struct Wait {
    wakeup: Listener,
    database: Database,
    pause: Duration,
}

impl Wait {
    /// Learns of appends from now on, so it is made before the store is read.
    pub(crate) fn new(store: &EventStore) -> Self {
        let database = store.database().clone();
        let wakeup = database.shared().listen(store.channel(), 0);
        Self { wakeup, database, pause: SHORTEST_POLL }
    }

    /// There was something, so there may be more soon.
    pub(crate) fn found(&mut self) {
        self.pause = SHORTEST_POLL;
    }

    /// Returns when there may be more. Safe to cancel.
    ///
    /// # Errors
    /// That of an engine that is closed.
    pub(crate) async fn more(&mut self) -> Result<()> {
        let woken_or_closed = async {
            tokio::select! {
                _ = self.wakeup.woken() => Ok(()),
                error = self.database.closed() => Err(error.into()),
            }
        };
        if self.database.is_only_writer() {
            return woken_or_closed.await;
        }
        let clock = self.database.clock();
        let next_poll = clock.monotonic_millis() + self.pause.as_millis() as u64;
        tokio::select! {
            outcome = woken_or_closed => {
                self.pause = SHORTEST_POLL;
                outcome
            }
            () = clock.wait_until_monotonic(next_poll) => {
                self.pause = (self.pause * 2).min(LONGEST_POLL);
                Ok(())
            }
        }
    }
}
