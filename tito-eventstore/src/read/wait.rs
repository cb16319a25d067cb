//! Waits until a store may have more events.

use std::sync::Arc;
use std::time::Duration;

use tito_core::TitoEngine;
use tito_core::clock::Clock;
use tito_core::engine::Wakeup;

use crate::store::EventStore;

/// Where other processes append too, how soon is looked again after there was something.
const SHORTEST_POLL: Duration = Duration::from_millis(10);

/// And how seldom after there was nothing for long.
const LONGEST_POLL: Duration = Duration::from_millis(500);

/// Learns of appends: of those of this process at once, of those of others by looking now and then.
pub(crate) struct Wait {
    wakeup: Wakeup,
    clock: Arc<dyn Clock>,
    polls: bool,
    pause: Duration,
}

impl Wait {
    /// Learns of appends from now on, so it is made before the store is read.
    pub(crate) fn new<E: TitoEngine>(store: &EventStore<E>) -> Self {
        let engine = store.engine();
        Self {
            wakeup: engine.context().wakeups.register(store.channel(), 0),
            clock: engine.clock().clone(),
            polls: !engine.is_only_writer(),
            pause: SHORTEST_POLL,
        }
    }

    /// There was something, so there may be more soon.
    pub(crate) fn found(&mut self) {
        self.pause = SHORTEST_POLL;
    }

    /// Returns when there may be more. Safe to cancel.
    pub(crate) async fn more(&mut self) {
        if !self.polls {
            self.wakeup.woken().await;
            return;
        }
        let next_poll = self.clock.now_millis() + self.pause.as_millis() as u64;
        tokio::select! {
            _ = self.wakeup.woken() => self.pause = SHORTEST_POLL,
            () = self.clock.wait_until(next_poll) => self.pause = (self.pause * 2).min(LONGEST_POLL),
        }
    }
}
