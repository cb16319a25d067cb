//! One run of a handler, and what it comes to.

use std::any::Any;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::{BoxFuture, Either, select};
use tito_core::engine::Limits;
use tito_core::event::TitoEvent;
use tito_core::{TitoEngine, TitoError, TitoTransaction};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::builder::Subscription;
use super::observed::observed;
use super::record::{Disposition, Recorded, record};
use crate::handler::{Handled, Handler};
use crate::observe::{Observe, Observers};
use crate::outcome::Outcome;
use crate::retry::RetryPolicy;

/// How many partitions are read at once: a worker of thousands of them would swamp an engine that is a cluster, so that
/// no answer came in time.
const READS_AT_ONCE: usize = 128;

/// Longer messages of failures are cut, in bytes.
const LONGEST_ERROR: usize = 500;

/// One subscription at work.
pub(super) struct Runner<E: TitoEngine> {
    engine: E,
    pub(super) event_type: Arc<str>,
    handler: Handler<E>,
    pub(super) retry: RetryPolicy,
    timeout: Duration,
    pub(super) concurrency: usize,
    pub(super) new_topic_partitions: u16,
    pub(super) observe: Observe,
    reads: Semaphore,
}

/// An event on its way to a handler.
pub(super) struct Delivery {
    pub(super) key: Vec<u8>,
    pub(super) partition: u16,
    pub(super) event: TitoEvent,
}

/// What a run came to.
pub(super) enum Verdict {
    /// To be recorded with the acknowledgement.
    Unrecorded(Disposition),
    /// The handler's own transaction has recorded it.
    Recorded(Recorded),
}

impl<E: TitoEngine> Runner<E> {
    pub(super) fn new(
        engine: E,
        event_type: String,
        subscription: Subscription,
        handler: Handler<E>,
        observers: Observers,
    ) -> Self {
        let Subscription { retry, mut timeout, concurrency, new_topic_partitions } = subscription;
        if let Handler::Transactional(_) = handler {
            // A transaction that is older can't commit.
            timeout = timeout.min(Duration::from_millis(engine.max_transaction_age_millis()));
        }
        Self {
            engine,
            observe: Observe::new(&event_type, observers),
            event_type: event_type.into(),
            handler,
            retry,
            timeout,
            concurrency,
            new_topic_partitions,
            reads: Semaphore::new(READS_AT_ONCE),
        }
    }

    /// Waits for a turn to read a partition.
    pub(super) async fn turn_to_read(&self) -> Option<SemaphorePermit<'_>> {
        // Fails only when the semaphore is closed, which nobody does.
        self.reads.acquire().await.ok()
    }

    pub(super) fn limits(&self) -> &Limits {
        self.engine.limits()
    }

    /// Runs the handler to its end, its panic or its timeout. Whatever of the handler's panics, be it its error when it
    /// is written out, fails this attempt and nothing else.
    pub(super) async fn run(&self, delivery: Delivery) -> Verdict {
        let run = self.observe.hand_out(&self.engine, delivery.partition, &delivery.event);
        let attempt = delivery.event.attempt.saturating_add(1);
        let verdict = match AssertUnwindSafe(run.scope(self.run_handler(delivery))).catch_unwind().await {
            Ok(verdict) => verdict,
            Err(panic) => failed(format!("the handler panicked: {}", panic_text(&*panic))),
        };
        let (kind, error) = observed(self, attempt, &verdict);
        run.end(kind, error);
        verdict
    }

    async fn run_handler(&self, delivery: Delivery) -> Verdict {
        match &self.handler {
            Handler::Plain(handler) => match self.limited(async { handler(delivery.event).await }).await {
                Some(Ok(outcome)) => Verdict::Unrecorded(outcome.into()),
                Some(Err(error)) => failed(text_of(&*error)),
                None => self.timed_out(),
            },
            Handler::Transactional(handler) => {
                match self.limited(self.run_in_transaction(handler.as_ref(), &delivery)).await {
                    Some(Ok(recorded)) => Verdict::Recorded(recorded),
                    Some(Err(error)) => self.transaction_failed(&error),
                    None => self.timed_out(),
                }
            }
        }
    }

    async fn run_in_transaction(
        &self,
        handler: &(dyn Fn(TitoEvent, E::Transaction) -> BoxFuture<'static, Handled> + Send + Sync),
        delivery: &Delivery,
    ) -> Result<Recorded, TitoError> {
        let attempt = |tx: E::Transaction| async move {
            // Read in this transaction, so that of two workers which handle it only one commits.
            let Some(stored) = tx.get(&delivery.key).await? else { return Ok(Recorded::Elsewhere) };
            let event = TitoEvent::decode(&delivery.key, &stored)?;
            let outcome = handler(event, tx.clone()).await.map_err(TitoError::Application)?;
            record(&tx, self, delivery.partition, &delivery.key, stored, &outcome.into()).await
        };
        self.engine.transaction(attempt).await
    }

    /// What is to become of an event whose transaction did not commit. Where the engine failed and not the handler, no
    /// attempt is counted.
    fn transaction_failed(&self, error: &TitoError) -> Verdict {
        match error {
            TitoError::Application(error) => failed(text_of(&**error)),
            TitoError::Storage { .. }
            | TitoError::Unavailable { .. }
            | TitoError::EngineClosed { .. }
            | TitoError::RetriesExhausted { .. }
            | TitoError::CommitUnknown { .. } => {
                tracing::warn!(topic = %self.event_type, %error, "a handler's transaction failed, trying again");
                let seconds = (self.engine.clock().now_millis() / 1000) as i64 + 1;
                Verdict::Unrecorded(Disposition::Reschedule { seconds })
            }
            error => failed(text_of(error)),
        }
    }

    fn timed_out(&self) -> Verdict {
        failed(format!("the handler did not end within {:?}", self.timeout))
    }

    /// Drops `run` where it waits when the timeout has passed.
    async fn limited<T>(&self, run: impl Future<Output = T>) -> Option<T> {
        let clock = self.engine.clock();
        let millis = u64::try_from(self.timeout.as_millis()).unwrap_or(u64::MAX);
        let timeout = clock.wait_until(clock.now_millis().saturating_add(millis));
        match select(std::pin::pin!(run), timeout).await {
            Either::Left((result, _)) => Some(result),
            Either::Right(_) => None,
        }
    }
}

impl From<Outcome> for Disposition {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Done => Self::Done,
            Outcome::RetryAfter(delay) => {
                Self::Retry { delay: Some(delay), error: "the handler asked for another attempt".to_string() }
            }
            Outcome::RescheduleTo(seconds) => Self::Reschedule { seconds },
            Outcome::DeadLetter(reason) => Self::Dead { error: cut(reason) },
        }
    }
}

fn failed(error: String) -> Verdict {
    Verdict::Unrecorded(Disposition::Retry { delay: None, error: cut(error) })
}

/// An error with its causes.
fn text_of(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source.filter(|_| text.len() < LONGEST_ERROR) {
        let cause_text = cause.to_string();
        // Some errors show their source themselves.
        if !text.ends_with(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

fn cut(mut text: String) -> String {
    if text.len() > LONGEST_ERROR {
        let boundary = (0..=LONGEST_ERROR).rev().find(|&at| text.is_char_boundary(at));
        text.truncate(boundary.unwrap_or(0));
    }
    text
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&'static str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}
