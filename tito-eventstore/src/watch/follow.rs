//! The task of a watcher.

use std::time::Duration;

use tito_core::{TitoEngine, TitoError};
use tokio::sync::watch;

use super::options::Watch;
use crate::domain::Evolver;
use crate::error::{EventStoreError, Result};
use crate::event::Event;
use crate::read::{Cursor, Wait, evolve_one};

/// How long the watcher rests after an error of the engine.
const PAUSE: Duration = Duration::from_millis(200);

/// After how many of these in succession a watcher that is to stop gives up.
const MOST_FAILURES: u32 = 10;

pub(super) struct Follower<E, M> {
    pub(super) cursor: Cursor<E>,
    pub(super) wait: Wait,
    pub(super) model: M,
    pub(super) watch: Watch,
    pub(super) stopped: watch::Receiver<bool>,
    pub(super) reached: watch::Sender<u64>,
}

/// Whether an error of reading may be over the next time.
fn passes(error: &EventStoreError) -> bool {
    match error {
        EventStoreError::Engine(error) => {
            !matches!(**error, TitoError::EngineClosed { .. } | TitoError::Malformed { .. })
        }
        _ => false,
    }
}

impl<E: TitoEngine, M: Evolver> Follower<E, M> {
    pub(super) async fn run(mut self) -> Result<M> {
        loop {
            // What was appended before the stop is in the pages that are read after it.
            let is_last = *self.stopped.borrow_and_update();
            self.follow_to_end().await?;
            if is_last || self.is_past_end() {
                return Ok(self.model);
            }
            tokio::select! {
                () = self.wait.more() => {}
                // An error means that the watcher is gone, and this task will be.
                _ = self.stopped.changed() => {}
            }
            self.cursor.extend();
        }
    }

    async fn follow_to_end(&mut self) -> Result<()> {
        let mut failures = 0;
        loop {
            match self.cursor.next_page().await {
                Ok(page) if page.is_empty() => {
                    self.reached.send_replace(self.cursor.position());
                    return Ok(());
                }
                Ok(page) => {
                    failures = 0;
                    self.wait.found();
                    page.iter().try_for_each(|event| self.evolve(event))?;
                    self.reached.send_replace(self.cursor.position());
                }
                Err(error) if passes(&error) && !(*self.stopped.borrow() && failures >= MOST_FAILURES) => {
                    failures += 1;
                    self.tell(&error);
                    tokio::time::sleep(PAUSE).await;
                }
                Err(error) => {
                    self.tell(&error);
                    return Err(error);
                }
            }
        }
    }

    fn evolve(&mut self, event: &Event) -> Result<()> {
        match evolve_one(&mut self.model, event) {
            Err(error) if self.watch.on_error.is_some() => {
                self.tell(&error);
                Ok(())
            }
            outcome => outcome,
        }
    }

    fn tell(&self, error: &EventStoreError) {
        match &self.watch.on_error {
            Some(handler) => handler(error),
            None => tracing::warn!(store = self.cursor.store().name(), %error, "a watcher met an error"),
        }
    }

    fn is_past_end(&self) -> bool {
        self.watch.select.end().is_some_and(|end| self.cursor.position() >= end)
    }
}
