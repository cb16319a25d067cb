//! One run of a handler for events that were taken together, and its result.

use std::any::Any;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;

use futures::future::{Either, select};
use futures::{FutureExt, poll};
use tito_core::event::TitoEvent;
use tito_core::{TitoError, panics};

use super::deaths::{Alone, Hands};
use super::decide::Ended;
use super::lanes::Few;
use super::record::Recorded;
use super::runner::{Delivery, Runner};
use super::turns::Turns;
use crate::error_text::text_of;
use crate::fate::Fate;
use crate::handler::{Context, Function as Handle};
use crate::observe::{Run, Watched};
use crate::policy::Order;

/// What is left to do with an event after its handler has run.
pub(super) enum Verdict {
    /// Its fate has to be decided and recorded with the acknowledgement.
    Ended(Ended),
    /// The handler's own transaction has recorded it.
    Recorded(Recorded),
    /// Nothing was done: the partition has another owner, or the order in which its events were read is outdated.
    Fenced {
        /// The earliest revision of the topic under which one of the events handled together was read.
        revision: u64,
    },
    /// Nothing was done, because an earlier event of the entity has failed.
    NotBegun,
}

impl Verdict {
    /// Whether later events of the entity have to wait.
    pub(super) fn blocks(&self, order: Order) -> bool {
        match self {
            Self::Ended(ended) => order.waits_for_recording(ended.is_final_before_it_is_recorded()),
            Self::Recorded(recorded) => order.waits_after(recorded.remains),
            Self::Fenced { .. } | Self::NotBegun => true,
        }
    }
}

/// An event whose handler has run, and those who still have to be told its fate.
pub(super) struct Ran {
    pub(super) verdict: Verdict,
    pub(super) watched: Watched,
}

impl Ran {
    /// Tells what is already known.
    fn new(verdict: Verdict, watched: Watched) -> Self {
        let (fate, error) = match &verdict {
            Verdict::Ended(_) => return Self { verdict, watched },
            Verdict::Recorded(recorded) => (recorded.fate, recorded.error()),
            Verdict::Fenced { .. } | Verdict::NotBegun => (Fate::Released, None),
        };
        watched.tell(fate, error);
        Self { verdict, watched: Watched::default() }
    }

    /// For an event that no handler saw.
    fn unseen(verdict: Verdict) -> Self {
        Self { verdict, watched: Watched::default() }
    }
}

impl Runner {
    /// Runs the handler for events that were taken together, and returns a verdict on each.
    pub(super) async fn run(&self, deliveries: &[Delivery]) -> Few<Ran> {
        match AssertUnwindSafe(self.run_all(deliveries)).catch_unwind().await {
            Ok(ran) => ran,
            // Not a panic of the handler, which is caught closer to it, but of an observer, such as a metrics recorder.
            // Without a verdict, the partition would wait for these events for ever.
            Err(panic) => {
                let error = format!("what observes the handler panicked: {}", panics::text_of(panic));
                tracing::error!(queue = %self.queue, error);
                let failed = |_| Ran::unseen(Verdict::Ended(Ended::failed(error.clone())));
                deliveries.iter().map(failed).collect()
            }
        }
    }

    /// A batch that fails is handled again one by one, and so is one that contains a suspect.
    async fn run_all(&self, deliveries: &[Delivery]) -> Few<Ran> {
        let _in_flight = CountedInFlight::new(&self.in_flight, deliveries.len());
        let hands = deliveries.first().and_then(|one| one.origin.hands.as_deref());
        if let Some(hands) = hands
            && let Err(error) = hands.begin().await
        {
            return self.not_handed_out(deliveries, &error);
        }
        let is_suspect = |one: &Delivery| one.is_suspect || hands.is_some_and(|hands| hands.is_suspect(&one.key));
        if !deliveries.iter().any(is_suspect)
            && let Some(ran) = self.run_in_company(hands, deliveries).await
        {
            return ran;
        }
        let mut turns = Turns::new(self.policy.order);
        let mut all = Few::with_capacity(deliveries.len());
        for delivery in deliveries {
            let mut ran = None;
            if turns.has_turn(delivery.entity) {
                let one = std::slice::from_ref(delivery);
                let single = match hands.filter(|_| is_suspect(delivery)) {
                    Some(hands) => self.run_alone(hands, one).await,
                    None => self.run_in_company(hands, one).await,
                };
                ran = single.and_then(|mut ran| ran.pop());
            }
            let ran = ran.unwrap_or_else(|| Ran::unseen(Verdict::NotBegun));
            turns.note(delivery.entity, &ran.verdict);
            all.push(ran);
        }
        all
    }

    async fn run_in_company(&self, hands: Option<&Hands>, deliveries: &[Delivery]) -> Option<Few<Ran>> {
        let Some(hands) = hands else { return self.run_together(deliveries).await };
        match hands.take(deliveries.iter().map(|one| one.key.clone())).await {
            Ok(Some(_taken)) => self.run_together(deliveries).await,
            Ok(None) => None,
            Err(error) => Some(self.not_handed_out(deliveries, &error)),
        }
    }

    /// Runs an event while nothing else runs in this process.
    async fn run_alone(&self, hands: &Hands, one: &[Delivery]) -> Option<Few<Ran>> {
        match hands.take_alone(&one[0].key).await {
            Ok(Alone::Yes(turn)) => {
                let ran = self.run_together(one).await;
                hands.not_alone(turn).await;
                ran
            }
            // Not one that failed for good since it was read.
            Ok(Alone::Gone) => Some(Few::from([Ran::unseen(Verdict::Recorded(Recorded::ELSEWHERE))])),
            Err(error) => Some(self.not_handed_out(one, &error)),
        }
    }

    /// What a worker has in hand is written before it is handed out. If that can't be written, nothing is handed out.
    fn not_handed_out(&self, deliveries: &[Delivery], error: &TitoError) -> Few<Ran> {
        self.log_engine(None, error, "it can't be written what is in hand");
        deliveries.iter().map(|_| Ran::unseen(Verdict::Ended(Ended::EngineFailed))).collect()
    }

    /// Runs the handler to its end, its panic or its timeout; `None` if several events failed together. A panic of the
    /// handler, or of its error while that is formatted, fails this attempt and nothing else.
    async fn run_together(&self, deliveries: &[Delivery]) -> Option<Few<Ran>> {
        let mut events = Few::with_capacity(deliveries.len());
        for delivery in deliveries {
            match delivery.decode() {
                Ok(event) => events.push(event),
                Err(_) if deliveries.len() > 1 => return None,
                Err(error) => {
                    self.log_no_event(&delivery.key, Some(&error));
                    return Some(Few::from([Ran::unseen(Verdict::Ended(Ended::NoEvent))]));
                }
            }
        }
        let now = self.database.clock().monotonic_millis();
        let mut runs = Few::with_capacity(deliveries.len());
        for (delivery, event) in deliveries.iter().zip(&events) {
            runs.push(self.observe.hand_out(&self.database, delivery.origin.partition, event, now));
        }
        let hands = deliveries.first().and_then(|one| one.origin.hands.as_deref());
        let _runs = hands.map(|hands| {
            let taken = deliveries.iter().map(|one| one.origin.partition).zip(events.iter().map(|event| &**event));
            hands.registration.running.begin(&self.queue, now, taken)
        });
        // The handler is dropped in here, too.
        let run = async { self.limited(now, pin!(self.run_handler(deliveries, events, &runs))).await };
        let failed = match AssertUnwindSafe(run).catch_unwind().await {
            Ok(Some(Ok(verdicts))) => {
                let ran = runs.into_iter().zip(verdicts).map(|(run, verdict)| Ran::new(verdict, run.end()));
                return Some(ran.collect());
            }
            Ok(Some(Err(failed))) => failed,
            Ok(None) => Ended::failed(format!("the handler did not end within {:?}", self.timeout)),
            Err(panic) => Ended::failed(panicked(panic)),
        };
        if deliveries.len() > 1 && !matches!(failed, Ended::EngineFailed) {
            tracing::debug!(queue = %self.queue, events = deliveries.len(), "a batch has failed, handling it one by one");
            for run in runs {
                run.end().tell(Fate::Released, failed.error());
            }
            return None;
        }
        let ran = runs.into_iter().map(|run| Ran::new(Verdict::Ended(failed.clone()), run.end()));
        Some(ran.collect())
    }

    async fn run_handler(
        &self,
        deliveries: &[Delivery],
        events: Few<Box<TitoEvent>>,
        runs: &[Run],
    ) -> Result<Few<Verdict>, Ended> {
        if self.handler.in_transaction {
            // Boxed, so that plain handlers don't carry space for a transaction around.
            return self.run_in_transaction(deliveries, events, runs).boxed().await;
        }
        match &self.handler.run {
            Handle::One(handler) => {
                let mut verdicts = Few::with_capacity(deliveries.len());
                for (event, run) in events.into_iter().zip(runs) {
                    let context = Context::new(Some(event), self.database.clone(), None);
                    let handled = run.scope(async { handler(context).await }).await;
                    let outcome = handled.map_err(|error| Ended::failed(text_of(&*error)))?;
                    verdicts.push(Verdict::Ended(outcome.into()));
                }
                Ok(verdicts)
            }
            Handle::Batch(handler) => {
                let context = Context::new(None, self.database.clone(), None);
                let handled = handler(events.into_iter().map(|event| *event).collect(), context).await;
                let outcomes = handled.map_err(|error| Ended::failed(text_of(&*error)))?;
                let mut turns = Turns::new(self.policy.order);
                let verdict = |(delivery, outcome): (&Delivery, _)| {
                    // A plain handler can't undo what it did with events whose entity's earlier one was postponed, so
                    // it does it again when their turn comes.
                    if !turns.has_turn(delivery.entity) {
                        return Verdict::NotBegun;
                    }
                    let verdict = Verdict::Ended(Ended::from(outcome));
                    turns.note(delivery.entity, &verdict);
                    verdict
                };
                Ok(deliveries.iter().zip(outcomes).map(verdict).collect())
            }
        }
    }

    /// Drops `run` at its current await when the timeout has passed since it began.
    async fn limited<T>(&self, began_millis: u64, mut run: Pin<&mut impl Future<Output = T>>) -> Option<T> {
        // Many handlers end without waiting, and need no timer.
        if let Poll::Ready(result) = poll!(run.as_mut()) {
            return Some(result);
        }
        let millis = u64::try_from(self.timeout.as_millis()).unwrap_or(u64::MAX);
        let ends = began_millis.saturating_add(millis);
        match select(run, self.database.clock().wait_until_monotonic(ends)).await {
            Either::Left((result, _)) => Some(result),
            Either::Right(_) => None,
        }
    }
}

/// Counts events as being handled until it is dropped.
struct CountedInFlight<'a> {
    counter: &'a AtomicU64,
    events: u64,
}

impl<'a> CountedInFlight<'a> {
    fn new(counter: &'a AtomicU64, events: usize) -> Self {
        let events = events as u64;
        counter.fetch_add(events, Ordering::Relaxed);
        Self { counter, events }
    }
}

impl Drop for CountedInFlight<'_> {
    fn drop(&mut self) {
        self.counter.fetch_sub(self.events, Ordering::Relaxed);
    }
}

fn panicked(panic: Box<dyn Any + Send>) -> String {
    format!("the handler panicked: {}", panics::text_of(panic))
}
