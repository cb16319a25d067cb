//! Runs a worker step by step.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tito_core::event::TitoEvent;
use tito_core::{Database, Result};
use tito_worker::{Handler, IntoTopic, Outcome, Subscription, TitoQueue, Worker, WorkerBuilder, WorkerReport};

use crate::TestClock;

/// Runs a worker until nothing is due, and returns what was handled: tests of an application's subscribers need no
/// background task and no waiting.
///
/// ```
/// use std::time::Duration;
/// use tito_core::prelude::*;
/// use tito_testkit::{EngineSettings, Harness, TestClock};
/// use tito_worker::Outcome;
/// use tito_worker::prelude::*;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), TitoError> {
/// let clock = TestClock::new();
/// let db = tito_testkit::in_memory_with(EngineSettings::default().test_clock(&clock)).await?;
/// let mut harness = Harness::new(&db, &clock)
///     .subscribe("reminder", |event: TitoEvent| async move { Ok::<_, TitoError>(()) });
///
/// let in_an_hour = Publish::new("reminder", "user:17").delay(Duration::from_secs(3600));
/// let tx = db.begin().await?;
/// TitoQueue::new(db.clone()).publish(in_an_hour, &tx).await?;
/// tx.commit().await?;
///
/// assert!(harness.drain().await?.is_empty());
/// let handled = harness.advance(Duration::from_secs(3600)).await?;
/// assert_eq!(handled[0].event.entity, "user:17");
/// assert_eq!(handled[0].outcome, Ok(Outcome::Done));
/// # Ok(())
/// # }
/// ```
pub struct Harness {
    builder: WorkerBuilder,
    clock: TestClock,
    log: Log,
    report: WorkerReport,
}

/// One run of a handler.
#[derive(Clone, Debug)]
pub struct Handled {
    /// The event, as the handler got it.
    pub event: TitoEvent,
    /// The handler's outcome, or the text of its error. A transactional handler that runs again after a conflict
    /// appears once per run.
    pub outcome: std::result::Result<Outcome, String>,
}

impl Harness {
    /// A harness for a database that `clock` drives, without subscriptions yet.
    pub fn new(database: &Database, clock: &TestClock) -> Self {
        Self::of(Worker::builder(TitoQueue::new(database.clone())), clock)
    }

    /// A harness for a worker with settings that a harness doesn't offer. [`drain`](Harness::drain) does not return the
    /// runs of handlers that the worker already has.
    pub fn of(builder: WorkerBuilder, clock: &TestClock) -> Self {
        Self { builder, clock: clock.clone(), log: Log::default(), report: WorkerReport::default() }
    }

    /// Like [`WorkerBuilder::subscribe`]. A handler's result for a batch appears as its result for each event.
    #[must_use]
    pub fn subscribe<T, H, Args>(self, topic: T, handler: H) -> Self
    where
        T: IntoTopic,
        H: Handler<Args, (), T::Carries>,
    {
        self.subscribe_with(topic, T::settings(), handler)
    }

    /// Like [`WorkerBuilder::subscribe_with`].
    #[must_use]
    pub fn subscribe_with<T, H, Args>(mut self, topic: T, settings: Subscription, handler: H) -> Self
    where
        T: IntoTopic,
        H: Handler<Args, (), T::Carries>,
    {
        let log = self.log.clone();
        let handler = handler.with_its_state(()).watched(move |event| {
            let entry = log.begin(event);
            |outcome| entry.note(outcome)
        });
        self.builder = self.builder.subscribe_with(topic, settings, handler);
        self
    }

    /// Handles everything that is due, and whatever becomes due as a result. Returns the runs in the order in which
    /// they ended.
    ///
    /// # Errors
    /// Those of the engine.
    pub async fn drain(&mut self) -> Result<Vec<Handled>> {
        let drained = self.builder.clone().build().drain().await;
        let handled = self.log.take();
        self.report += drained?;
        Ok(handled)
    }

    /// Advances the clock, and then handles everything that is due.
    ///
    /// # Errors
    /// Those of the engine.
    pub async fn advance(&mut self, by: Duration) -> Result<Vec<Handled>> {
        self.clock.advance(by);
        self.drain().await
    }

    /// The totals of all drains so far.
    pub fn report(&self) -> WorkerReport {
        self.report.clone()
    }
}

/// What was handled since the last look.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<Handled>>>);

impl Log {
    fn begin(&self, event: &TitoEvent) -> Entry {
        Entry { log: self.clone(), event: Some(event.clone()) }
    }

    fn push(&self, handled: Handled) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(handled);
    }

    fn take(&self) -> Vec<Handled> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A run in progress. If it panics or is dropped while waiting, that is recorded.
struct Entry {
    log: Log,
    event: Option<TitoEvent>,
}

impl Entry {
    fn note(mut self, outcome: std::result::Result<Outcome, String>) {
        if let Some(event) = self.event.take() {
            self.log.push(Handled { event, outcome });
        }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let Some(event) = self.event.take() else { return };
        let what = if std::thread::panicking() { "the handler panicked" } else { "the handler did not end" };
        self.log.push(Handled { event, outcome: Err(what.to_string()) });
    }
}
