//! The handlers that run in a worker.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use tito_core::event::TitoEvent;
use uuid::Uuid;

use crate::time::time_of_millis;

/// A handler that is running, or waits for others of its batch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RunningHandler {
    /// The queue of its event.
    pub queue: String,
    /// The partition that the event was read from.
    pub partition: u16,
    /// The event.
    pub event: Uuid,
    /// What the event is about.
    pub entity: String,
    /// Which attempt it is, counted from 1.
    pub attempt: u32,
    /// When it began.
    #[serde(rename = "since_millis", with = "chrono::serde::ts_milliseconds")]
    pub since: DateTime<Utc>,
}

/// The handlers that run in one worker, in the order in which they began.
#[derive(Default)]
pub(crate) struct Running(Mutex<State>);

#[derive(Default)]
struct State {
    next: u64,
    runs: BTreeMap<u64, Run>,
}

struct Run {
    queue: Arc<str>,
    partition: u16,
    event: Uuid,
    entity: String,
    attempt: u32,
    since_monotonic_millis: u64,
}

impl Run {
    fn told(&self, at: impl Fn(u64) -> u64) -> RunningHandler {
        RunningHandler {
            queue: self.queue.to_string(),
            partition: self.partition,
            event: self.event,
            entity: self.entity.clone(),
            attempt: self.attempt,
            since: time_of_millis(at(self.since_monotonic_millis)),
        }
    }
}

/// Handlers that run until it is dropped.
#[must_use]
pub(crate) struct Runs<'a> {
    running: &'a Running,
    numbers: Range<u64>,
}

impl Drop for Runs<'_> {
    fn drop(&mut self) {
        let mut state = self.running.locked();
        for number in self.numbers.clone() {
            state.runs.remove(&number);
        }
    }
}

impl Running {
    /// Handlers begin at this moment of the monotonic clock, for events of one queue.
    pub(crate) fn begin<'a>(
        &self,
        queue: &Arc<str>,
        monotonic_millis: u64,
        events: impl Iterator<Item = (u16, &'a TitoEvent)>,
    ) -> Runs<'_> {
        let mut state = self.locked();
        let first = state.next;
        for (partition, event) in events {
            let number = state.next;
            state.next += 1;
            let run = Run {
                queue: queue.clone(),
                partition,
                event: event.id,
                entity: event.entity.clone(),
                attempt: event.attempt(),
                since_monotonic_millis: monotonic_millis,
            };
            state.runs.insert(number, run);
        }
        Runs { running: self, numbers: first..state.next }
    }

    /// Those that run longest, `at` being what a moment of the monotonic clock was in milliseconds of the engine's time.
    pub(super) fn longest(&self, count: usize, at: impl Fn(u64) -> u64) -> Vec<RunningHandler> {
        self.locked().runs.values().take(count).map(|run| run.told(&at)).collect()
    }

    /// The one for an event of a queue.
    pub(super) fn of(&self, queue: &str, event: Uuid, at: impl Fn(u64) -> u64) -> Option<RunningHandler> {
        let state = self.locked();
        let mut runs = state.runs.values();
        runs.find(|run| run.event == event && *run.queue == *queue).map(|run| run.told(at))
    }

    fn locked(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
