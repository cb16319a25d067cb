//! One run of a handler, and what it comes to.

use std::any::Any;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::time::Duration;

use futures::future::{Either, select};
use futures::{FutureExt, poll};
use tito_core::clock::Clock;
use tito_core::engine::Limits;
use tito_core::event::TitoEvent;
use tito_core::{Database, TitoError, Transaction, panics};
use tokio::sync::{Notify, Semaphore, SemaphorePermit};

use super::fence::Fence;
use super::lanes::{Entity, Few};
use super::observed::observed;
use super::record::{Disposition, Recorded, record};
use crate::handler::{Handler, PlainHandler, TransactionalHandler};
use crate::observe::{Observe, Observers, Run};
use crate::outcome::Outcome;
use crate::policy::{Exhausted, Order, RateLimiter, RetryPolicy, Subscription};

/// How many partitions and topics a worker reads at once: one of thousands of them would swamp an engine that is a
/// cluster, so that no answer came in time.
pub(super) const READS_AT_ONCE: usize = 128;

/// Longer messages of failures are cut, in bytes.
const LONGEST_ERROR: usize = 500;

/// One subscription at work.
pub(super) struct Runner {
    engine: Database,
    /// The name of the queue.
    pub(super) queue: Arc<str>,
    handler: Handler,
    pub(super) retry: RetryPolicy,
    pub(super) exhausted: Exhausted,
    pub(super) order: Order,
    timeout: Duration,
    pub(super) concurrency: usize,
    /// How many events a handler gets together.
    pub(super) batch: usize,
    rate: Option<RateLimiter>,
    /// Whole seconds by which the subscription is behind the due times of its events.
    pub(super) delay_seconds: i64,
    pub(super) new_topic_partitions: u16,
    pub(super) observe: Observe,
    /// Shared by all subscriptions of a worker.
    reads: Arc<Semaphore>,
    /// Told when a transaction has found that the topic is not what this worker takes it for.
    pub(super) outdated: Notify,
    /// How many events are being handled.
    pub(super) in_flight: AtomicU64,
}

/// An event on its way to a handler.
pub(super) struct Delivery {
    pub(super) key: Vec<u8>,
    /// The event as it was read. It is decoded where it is handled: thousands that wait would take more memory decoded,
    /// and be out of the processor's caches by then.
    pub(super) stored: Vec<u8>,
    pub(super) entity: Entity,
    pub(super) origin: Arc<Origin>,
}

impl Delivery {
    fn decode(&self) -> Result<TitoEvent, TitoError> {
        // Whoever records what becomes of it reads it again.
        TitoEvent::decode_known(&self.key, &self.stored)
    }
}

/// Where events were read, and under which conditions.
pub(super) struct Origin {
    pub(super) partition: u16,
    /// The topic's revision when the reading began.
    pub(super) revision: u64,
    pub(super) fence: Fence,
}

/// What a run came to.
pub(super) enum Verdict {
    /// To be recorded with the acknowledgement.
    Unrecorded(Disposition),
    /// The handler's own transaction has recorded it.
    Recorded(Recorded),
    /// Nothing was done: the partition has another owner, or the order in which its events were read is out of date.
    Fenced {
        /// The earliest revision of the topic under which one of the events that were handled together was read.
        revision: u64,
    },
    /// Nothing was done, as an earlier event of the entity has failed.
    NotBegun,
}

/// What the transaction of a transactional handler came to.
enum Ran {
    Recorded(Vec<Recorded>),
    Fenced,
}

impl Runner {
    pub(super) fn new(
        engine: Database,
        queue: String,
        subscription: Subscription,
        handler: Handler,
        observers: Observers,
        reads: Arc<Semaphore>,
    ) -> Self {
        let Subscription { mut timeout, mut batch, .. } = subscription;
        match &handler {
            // A transaction that is older can't commit.
            Handler::Transactional(_) => {
                timeout = timeout.min(Duration::from_millis(engine.max_transaction_age_millis()))
            }
            Handler::Plain(PlainHandler::One(_)) => batch = 1,
            Handler::Plain(PlainHandler::Batch(_)) => {}
        }
        let delay = subscription.delay;
        Self {
            engine,
            observe: Observe::new(&queue, observers),
            queue: queue.into(),
            handler,
            retry: subscription.retry,
            exhausted: subscription.exhausted,
            order: subscription.order,
            timeout,
            concurrency: subscription.concurrency,
            batch,
            rate: subscription.rate_limit.map(RateLimiter::new),
            delay_seconds: i64::try_from(delay.as_secs().saturating_add(u64::from(delay.subsec_nanos() > 0)))
                .unwrap_or(i64::MAX),
            new_topic_partitions: subscription.new_topic_partitions,
            reads,
            outdated: Notify::new(),
            in_flight: AtomicU64::new(0),
        }
    }

    /// Waits for a turn to read a partition or the topic.
    pub(super) async fn turn_to_read(&self) -> Option<SemaphorePermit<'_>> {
        // Fails only when the semaphore is closed, which nobody does.
        self.reads.acquire().await.ok()
    }

    pub(super) fn limits(&self) -> &Limits {
        self.engine.limits()
    }

    pub(super) fn clock(&self) -> &Arc<dyn Clock> {
        self.engine.clock()
    }

    pub(super) fn is_strict(&self) -> bool {
        self.order == Order::Strict
    }

    /// How many of `wanted` events may be handed out now, or when the next one may, in milliseconds.
    pub(super) fn may_start(&self, wanted: usize) -> Result<usize, u64> {
        self.rate.as_ref().map_or(Ok(wanted), |rate| rate.start(wanted, self.clock().now_millis()))
    }

    /// Runs the handler for events that were taken together, and says of each what it came to.
    pub(super) async fn run(&self, deliveries: &[Delivery]) -> Few<Verdict> {
        match AssertUnwindSafe(self.run_all(deliveries)).catch_unwind().await {
            Ok(verdicts) => verdicts,
            // Not the handler's, which are caught nearer to it: of what observes it, such as a recorder of metrics. Without
            // a verdict the partition would wait for these events for ever.
            Err(panic) => {
                let error = format!("what observes the handler panicked: {}", panics::text_of(panic));
                tracing::error!(queue = %self.queue, error);
                deliveries.iter().map(|_| Verdict::Unrecorded(retry(error.clone()))).collect()
            }
        }
    }

    /// A batch that fails is handled again, one by one.
    async fn run_all(&self, deliveries: &[Delivery]) -> Few<Verdict> {
        let _in_flight = InFlight::new(&self.in_flight, deliveries.len());
        if let Some(verdicts) = self.run_together(deliveries).await {
            return verdicts;
        }
        let mut held_up = Vec::new();
        let mut all = Few::with_capacity(deliveries.len());
        for delivery in deliveries {
            if held_up.contains(&delivery.entity) {
                all.push(Verdict::NotBegun);
                continue;
            }
            let alone = self.run_together(std::slice::from_ref(delivery)).await;
            let verdict = alone.and_then(|mut verdicts| verdicts.pop()).unwrap_or(Verdict::NotBegun);
            let goes_on = match &verdict {
                Verdict::Unrecorded(disposition) => matches!(disposition, Disposition::Done) || !self.is_strict(),
                Verdict::Recorded(recorded) => !recorded.is_put_again() || !self.is_strict(),
                Verdict::Fenced { .. } | Verdict::NotBegun => false,
            };
            if !goes_on {
                held_up.push(delivery.entity);
            }
            all.push(verdict);
        }
        all
    }

    /// Runs the handler to its end, its panic or its timeout; `None` if several events have failed together. Whatever of
    /// the handler's panics, be it its error when it is written out, fails this attempt and nothing else.
    async fn run_together(&self, deliveries: &[Delivery]) -> Option<Few<Verdict>> {
        let decoded: Result<Few<TitoEvent>, _> = deliveries.iter().map(Delivery::decode).collect();
        let events = match decoded {
            Ok(events) => events,
            Err(_) if deliveries.len() > 1 => return None,
            Err(error) => {
                tracing::error!(queue = %self.queue, %error, "not an event, set aside");
                return Some(Few::from([Verdict::Unrecorded(Disposition::Malformed)]));
            }
        };
        let hand_out = |(delivery, event): (&Delivery, &TitoEvent)| {
            self.observe.hand_out(&self.engine, delivery.origin.partition, event)
        };
        let runs: Few<Run<'_>> = deliveries.iter().zip(&events).map(hand_out).collect();
        // In here the handler is dropped, too.
        let run = async { self.limited(pin!(self.run_handler(deliveries, events, &runs))).await };
        let failed = match AssertUnwindSafe(run).catch_unwind().await {
            Ok(Some(Ok(verdicts))) => return Some(self.end(runs, verdicts)),
            Ok(Some(Err(failed))) => failed,
            Ok(None) => retry(format!("the handler did not end within {:?}", self.timeout)),
            Err(panic) => retry(panicked(panic)),
        };
        let was_tried = !matches!(failed, Disposition::TryAgain);
        if deliveries.len() > 1 && was_tried {
            tracing::debug!(queue = %self.queue, events = deliveries.len(), "a batch has failed, handling it one by one");
            return None;
        }
        let verdicts = deliveries.iter().map(|_| Verdict::Unrecorded(failed.clone())).collect();
        Some(self.end(runs, verdicts))
    }

    /// Tells observers what runs came to.
    fn end(&self, runs: Few<Run<'_>>, verdicts: Few<Verdict>) -> Few<Verdict> {
        for (run, verdict) in runs.into_iter().zip(&verdicts) {
            let (kind, error) = observed(self, run.attempt(), verdict);
            run.end(kind, error);
        }
        verdicts
    }

    async fn run_handler(
        &self,
        deliveries: &[Delivery],
        events: Few<TitoEvent>,
        runs: &[Run<'_>],
    ) -> Result<Few<Verdict>, Disposition> {
        let done = |outcome: Outcome| Verdict::Unrecorded(outcome.into());
        match &self.handler {
            Handler::Plain(PlainHandler::One(handler)) => {
                let mut verdicts = Few::with_capacity(deliveries.len());
                for (event, run) in events.into_iter().zip(runs) {
                    let handled = run.scope(async { handler(event).await }).await;
                    verdicts.push(done(handled.map_err(|error| retry(text_of(&*error)))?));
                }
                Ok(verdicts)
            }
            Handler::Plain(PlainHandler::Batch(handler)) => {
                let outcomes = handler(events.into_vec()).await.map_err(|error| retry(text_of(&*error)))?;
                let mut verdicts: Few<Verdict> = outcomes.into_iter().map(done).collect();
                if self.is_strict() {
                    hold_up_later_events(deliveries, &mut verdicts);
                }
                Ok(verdicts)
            }
            // Boxed, so that plain handlers are not moved about with room for a transaction.
            Handler::Transactional(handler) => {
                match self.run_in_transaction(handler, deliveries, &events, runs).boxed().await {
                    Ok(Ran::Recorded(recorded)) => Ok(recorded.into_iter().map(Verdict::Recorded).collect()),
                    Ok(Ran::Fenced) => {
                        self.outdated.notify_one();
                        // The earliest, which is the one at fault: some of them may have been read under a later revision,
                        // which says nothing against it.
                        let revision = deliveries.iter().map(|one| one.origin.revision).min().unwrap_or(0);
                        Ok(deliveries.iter().map(|_| Verdict::Fenced { revision }).collect())
                    }
                    Err(error) => Err(self.transaction_failed(&error, deliveries.len())),
                }
            }
        }
    }

    async fn run_in_transaction(
        &self,
        handler: &TransactionalHandler,
        deliveries: &[Delivery],
        decoded: &[TitoEvent],
        runs: &[Run<'_>],
    ) -> Result<Ran, TitoError> {
        // All of them are of one partition, and were read by one worker that owns it.
        let Some(origin) = deliveries.first().map(|delivery| &delivery.origin) else {
            return Ok(Ran::Recorded(Vec::new()));
        };
        let attempt = |tx: Transaction| async move {
            // Read in this transaction, so that of two workers which handle them only one commits.
            let keys = deliveries.iter().map(|delivery| delivery.key.clone()).collect();
            let checked = origin.fence.read(&tx, keys).await?;
            let revision = checked.topic.revision;
            let is_outdated = |delivery: &Delivery| delivery.origin.revision != revision;
            if !checked.is_owned || self.is_strict() && deliveries.iter().any(is_outdated) {
                return Ok(Ran::Fenced);
            }
            let mut stored = Vec::with_capacity(deliveries.len());
            let mut events = Vec::with_capacity(deliveries.len());
            let mut scopes = Vec::with_capacity(deliveries.len());
            for (((delivery, decoded), run), bytes) in deliveries.iter().zip(decoded).zip(runs).zip(checked.events) {
                let Some(bytes) = bytes else { continue };
                // Hardly any has changed since it was read, by its progress or another worker.
                let is_as_read = bytes == delivery.stored;
                events.push(if is_as_read { decoded.clone() } else { TitoEvent::decode_known(&delivery.key, &bytes)? });
                scopes.push(run);
                stored.push((delivery, bytes));
            }
            let outcomes = match handler {
                TransactionalHandler::Batch(_) if events.is_empty() => Vec::new(),
                TransactionalHandler::Batch(handler) => {
                    handler(events, tx.clone()).await.map_err(TitoError::Application)?
                }
                TransactionalHandler::One(handler) => {
                    let mut outcomes = Vec::with_capacity(events.len());
                    for (event, run) in events.into_iter().zip(scopes) {
                        let handled = run.scope(async { handler(event, tx.clone()).await }).await;
                        outcomes.push(handled.map_err(TitoError::Application)?);
                    }
                    outcomes
                }
            };
            if self.is_strict() && is_overtaken(&stored, &outcomes) {
                return Err(TitoError::Application(
                    "an event of the batch was put off, and later ones have to wait".into(),
                ));
            }
            let mut handled = stored.into_iter().zip(outcomes).peekable();
            let mut all = Vec::with_capacity(deliveries.len());
            for delivery in deliveries {
                all.push(match handled.next_if(|((handled, _), _)| handled.key == delivery.key) {
                    None => Recorded::Elsewhere,
                    Some(((_, stored), outcome)) => {
                        let (topic, key) = (&checked.topic, &delivery.key);
                        record(&tx, self, topic, origin.partition, key, stored, &outcome.into()).await?
                    }
                });
            }
            Ok(Ran::Recorded(all))
        };
        self.engine.transaction(attempt).await
    }

    /// What is to become of an event whose transaction did not commit. Where the engine failed and not the handler, no
    /// attempt is counted.
    fn transaction_failed(&self, error: &TitoError, events: usize) -> Disposition {
        match error {
            // One by one they conflict less; together they might for ever.
            TitoError::RetriesExhausted { source, .. }
                if events > 1 && matches!(**source, TitoError::Conflict { .. }) =>
            {
                retry(text_of(error))
            }
            TitoError::Application(error) => retry(text_of(&**error)),
            error if error.is_of_the_engine() || matches!(error, TitoError::RetriesExhausted { .. }) => {
                tracing::warn!(queue = %self.queue, %error, "a handler's transaction failed, trying again");
                Disposition::TryAgain
            }
            error => retry(text_of(error)),
        }
    }

    /// Drops `run` where it waits when the timeout has passed.
    async fn limited<T>(&self, mut run: Pin<&mut impl Future<Output = T>>) -> Option<T> {
        let clock = self.engine.clock();
        let millis = u64::try_from(self.timeout.as_millis()).unwrap_or(u64::MAX);
        let ends = clock.now_millis().saturating_add(millis);
        // Many handlers end without waiting, and need no timer.
        if let Poll::Ready(result) = poll!(run.as_mut()) {
            return Some(result);
        }
        match select(run, clock.wait_until(ends)).await {
            Either::Left((result, _)) => Some(result),
            Either::Right(_) => None,
        }
    }
}

/// Whether a later event of an entity was handled in one batch with an earlier one that was put off.
fn is_overtaken(handled: &[(&Delivery, Vec<u8>)], outcomes: &[Outcome]) -> bool {
    let mut put_off = Vec::new();
    for ((delivery, _), outcome) in handled.iter().zip(outcomes) {
        if put_off.contains(&delivery.entity) {
            return true;
        }
        if outcome.puts_off() {
            put_off.push(delivery.entity);
        }
    }
    false
}

/// Has events handled again whose entity's earlier event in the same batch was put off: a plain handler can't take back
/// what it did with them, so it does it again when it is their turn.
fn hold_up_later_events(deliveries: &[Delivery], verdicts: &mut [Verdict]) {
    let mut put_off = Vec::new();
    for (delivery, verdict) in deliveries.iter().zip(verdicts) {
        if put_off.contains(&delivery.entity) {
            *verdict = Verdict::NotBegun;
        } else if !matches!(verdict, Verdict::Unrecorded(Disposition::Done | Disposition::Dead { .. })) {
            put_off.push(delivery.entity);
        }
    }
}

/// Counts events as being handled until it is dropped.
struct InFlight<'a> {
    counter: &'a AtomicU64,
    events: u64,
}

impl<'a> InFlight<'a> {
    fn new(counter: &'a AtomicU64, events: usize) -> Self {
        let events = events as u64;
        counter.fetch_add(events, Ordering::Relaxed);
        Self { counter, events }
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.counter.fetch_sub(self.events, Ordering::Relaxed);
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

fn retry(error: String) -> Disposition {
    Disposition::Retry { delay: None, error: cut(error) }
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

fn panicked(panic: Box<dyn Any + Send>) -> String {
    format!("the handler panicked: {}", panics::text_of(panic))
}
