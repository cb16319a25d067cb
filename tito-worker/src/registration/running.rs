//! The handlers that run in a worker.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;
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
    /// Those that began together are one entry.
    begun: Vec<Option<Begun>>,
    /// The indexes of those that have ended.
    free: Vec<usize>,
}

impl State {
    /// The entries, in the order in which they began.
    fn in_order(&self) -> Vec<&Begun> {
        let mut all: Vec<_> = self.begun.iter().flatten().collect();
        all.sort_unstable_by_key(|begun| begun.number);
        all
    }
}

/// Handlers of one queue that began at the same moment.
struct Begun {
    number: u64,
    queue: Arc<str>,
    since_monotonic_millis: u64,
    handled: SmallVec<[Handled; 1]>,
}

/// An event that is being handled.
struct Handled {
    partition: u16,
    event: Uuid,
    entity: String,
    attempt: u32,
}

impl Begun {
    fn told(&self, handled: &Handled, at: impl Fn(u64) -> u64) -> RunningHandler {
        RunningHandler {
            queue: self.queue.to_string(),
            partition: handled.partition,
            event: handled.event,
            entity: handled.entity.clone(),
            attempt: handled.attempt,
            since: time_of_millis(at(self.since_monotonic_millis)),
        }
    }
}

/// Handlers that run until it is dropped.
#[must_use]
pub(crate) struct Runs<'a> {
    running: &'a Running,
    index: usize,
}

impl Drop for Runs<'_> {
    fn drop(&mut self) {
        let mut state = self.running.locked();
        let ended = state.begun[self.index].take();
        state.free.push(self.index);
        drop(state);
        // Freed without the lock.
        drop(ended);
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
        let handled = events.map(|(partition, event)| Handled {
            partition,
            event: event.id,
            entity: event.entity.clone(),
            attempt: event.attempt(),
        });
        let (queue, handled) = (queue.clone(), handled.collect());
        let mut state = self.locked();
        let number = state.next;
        state.next += 1;
        let begun = Some(Begun { number, queue, since_monotonic_millis: monotonic_millis, handled });
        let index = match state.free.pop() {
            Some(index) => {
                state.begun[index] = begun;
                index
            }
            None => {
                state.begun.push(begun);
                state.begun.len() - 1
            }
        };
        Runs { running: self, index }
    }

    /// Those that run longest, `at` being what a moment of the monotonic clock was in milliseconds of the engine's time.
    pub(super) fn longest(&self, count: usize, at: impl Fn(u64) -> u64) -> Vec<RunningHandler> {
        let state = self.locked();
        let all =
            state.in_order().into_iter().flat_map(|begun| begun.handled.iter().map(move |handled| (begun, handled)));
        all.take(count).map(|(begun, handled)| begun.told(handled, &at)).collect()
    }

    /// The one for an event of a queue.
    pub(super) fn of(&self, queue: &str, event: Uuid, at: impl Fn(u64) -> u64) -> Option<RunningHandler> {
        let state = self.locked();
        let of_queue = state.begun.iter().flatten().filter(|begun| *begun.queue == *queue);
        let mut all = of_queue.flat_map(|begun| begun.handled.iter().map(move |handled| (begun, handled)));
        all.find(|(_, handled)| handled.event == event).map(|(begun, handled)| begun.told(handled, at))
    }

    fn locked(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
