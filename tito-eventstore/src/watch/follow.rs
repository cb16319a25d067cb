//! The task of a watcher.

use std::time::Duration;

use tito_core::TitoError;
use tokio::sync::watch;

use super::options::{OnError, Watch, WatchError};
use crate::domain::Evolver;
use crate::error::{EventStoreError, Result};
use crate::event::Event;
use crate::read::{Cursor, Wait, evolve_one};

/// How long the watcher rests after an error of the engine.
const PAUSE: Duration = Duration::from_millis(200);

/// After how many of these in succession a watcher that is to stop gives up.
const MOST_FAILURES: u32 = 10;

/// How long it rests before the second attempt at an event. Before each further one it rests for twice as long,
const FIRST_REST_MILLIS: u64 = 200;

/// up to this.
const LONGEST_REST_MILLIS: u64 = 60_000;

pub(super) struct Follower<M> {
    pub(super) cursor: Cursor,
    pub(super) wait: Wait,
    pub(super) model: M,
    pub(super) watch: Watch,
    pub(super) stopped: watch::Receiver<bool>,
    pub(super) reached: watch::Sender<u64>,
    pub(super) attempts: Attempts,
}

/// The attempts at the event at which the watcher stands.
#[derive(Debug, Default)]
pub(super) struct Attempts {
    sequence: u64,
    count: u32,
    /// Whether the watcher is to stop, so that there is no other.
    is_last: bool,
}

impl Attempts {
    fn failed(&mut self, sequence: u64) -> u32 {
        self.count = if self.sequence == sequence { self.count.saturating_add(1) } else { 1 };
        self.sequence = sequence;
        self.count
    }
}

/// Whether an error of reading may be over the next time.
fn passes(error: &EventStoreError) -> bool {
    match error {
        EventStoreError::Engine(error) => !error.is_closed() && !matches!(error, TitoError::Malformed { .. }),
        _ => false,
    }
}

fn rest_millis(attempt: u32) -> u64 {
    let doublings = attempt.saturating_sub(1).min(16);
    (FIRST_REST_MILLIS << doublings).min(LONGEST_REST_MILLIS)
}

async fn is_to_stop(stopped: &mut watch::Receiver<bool>) {
    // An error means that the watcher is gone, and this task will be.
    let _ = stopped.wait_for(|is_stopped| *is_stopped).await;
}

impl<M: Evolver> Follower<M> {
    pub(super) async fn run(mut self) -> Result<M> {
        loop {
            // What was appended before the stop is in the pages that are read after it.
            let is_last = *self.stopped.borrow();
            self.follow_to_end().await?;
            if is_last || self.is_past_end() {
                return Ok(self.model);
            }
            tokio::select! {
                more = self.wait.more() => more?,
                () = is_to_stop(&mut self.stopped) => {}
            }
            self.cursor.extend();
        }
    }

    /// Follows up to what there is now, for somebody who waits for it: the engine's errors are returned.
    pub(super) async fn catch_up(&mut self) -> Result<()> {
        while !self.follow_page().await? {}
        self.cursor.extend();
        Ok(())
    }

    async fn follow_to_end(&mut self) -> Result<()> {
        let mut failures = 0;
        loop {
            match self.follow_page().await {
                Ok(true) => return Ok(()),
                Ok(false) => failures = 0,
                Err(error) if error.sequence().is_some() => return Err(error),
                Err(error) if passes(&error) && !(*self.stopped.borrow() && failures >= MOST_FAILURES) => {
                    failures += 1;
                    if self.ask(None, None, &error, failures) == OnError::Stop {
                        return Err(error);
                    }
                    tokio::select! {
                        () = tokio::time::sleep(PAUSE) => {}
                        closed = self.cursor.store().database().closed() => return Err(closed.into()),
                    }
                }
                Err(error) => {
                    self.ask(None, None, &error, failures + 1);
                    return Err(error);
                }
            }
        }
    }

    /// Follows some events, and returns whether there are no more now. The error of an event says that the watcher ends
    /// before it.
    async fn follow_page(&mut self) -> Result<bool> {
        let error = match self.cursor.next_page().await {
            Ok(page) if page.is_empty() => {
                self.reached.send_replace(self.cursor.position());
                return Ok(true);
            }
            Ok(page) => {
                self.wait.found();
                for event in &page {
                    self.evolve(event).await?;
                }
                self.reached.send_replace(self.cursor.position());
                return Ok(false);
            }
            Err(error) => error,
        };
        let Some(at_fault) = self.cursor.at_fault() else { return Err(error) };
        let (sequence, event) = (at_fault.sequence, at_fault.event.clone());
        if self.is_passed_over(sequence, event.as_ref(), error).await? {
            self.cursor.pass_over();
            self.reached.send_replace(self.cursor.position());
        }
        Ok(false)
    }

    async fn evolve(&mut self, event: &Event) -> Result<()> {
        while let Err(error) = evolve_one(&mut self.model, event) {
            if self.is_passed_over(event.sequence(), Some(event), error).await? {
                break;
            }
        }
        Ok(())
    }

    /// Whether the watcher passes over an event that has failed. If it does not, it is time for another attempt.
    ///
    /// # Errors
    /// The event's, if the watcher ends.
    async fn is_passed_over(&mut self, sequence: u64, event: Option<&Event>, error: EventStoreError) -> Result<bool> {
        // Whoever waits for what is before it has not to wait for it.
        self.reached.send_replace(sequence.saturating_sub(1));
        let attempt = self.attempts.failed(sequence);
        match self.ask(Some(sequence), event, &error, attempt) {
            OnError::Skip => Ok(true),
            OnError::TryAgain if !self.attempts.is_last => self.rest(attempt).await.map(|()| false),
            OnError::TryAgain | OnError::Stop => Err(error),
        }
    }

    /// Waits until it is time for another attempt. One that is to stop does not wait.
    async fn rest(&mut self, attempt: u32) -> Result<()> {
        let database = self.cursor.store().database();
        let until = database.clock().monotonic_millis().saturating_add(rest_millis(attempt));
        tokio::select! {
            () = database.clock().wait_until_monotonic(until) => Ok(()),
            () = is_to_stop(&mut self.stopped) => {
                self.attempts.is_last = true;
                Ok(())
            }
            closed = database.closed() => Err(closed.into()),
        }
    }

    fn ask(&self, sequence: Option<u64>, event: Option<&Event>, error: &EventStoreError, attempt: u32) -> OnError {
        match &self.watch.on_error {
            Some(handler) => handler(&WatchError { sequence, event, error, attempt }),
            None => {
                let store = self.cursor.store();
                store
                    .logger()
                    .with(|| tracing::warn!(store = store.name(), sequence, %error, "a watcher met an error"));
                if sequence.is_some() { OnError::Stop } else { OnError::TryAgain }
            }
        }
    }

    fn is_past_end(&self) -> bool {
        self.watch.select.end().is_some_and(|end| self.cursor.position() >= end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rests_grow_up_to_a_bound() {
        let rests: Vec<u64> = [1, 2, 3, 9, 10, 17, u32::MAX].map(rest_millis).into();
        assert_eq!(rests, [200, 400, 800, 51_200, 60_000, 60_000, 60_000]);
    }
}
