//! Events that a subscription's handlers get from elsewhere than its queue: those that a reactor reads from its store.
//!
//! A feed works beside the first partition of its queue, and belongs to whoever owns that. It has its handlers run by
//! itself, as many at once as the subscription says. What does not get done at once is put into the queue, and is an event
//! like others from then on.

use std::panic::AssertUnwindSafe;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::Duration;

use futures::future::{BoxFuture, Either, select};
use futures::{FutureExt, poll};
use tito_core::event::{TitoEvent, Topic};
use tito_core::{BoxError, Database, Result, Transaction, panics};
use tokio::sync::OwnedRwLockReadGuard;

use super::deaths::Hands;
use super::decide::{Decided, Ended, HandledBy, Rules, decide};
use super::fence::Fence;
use super::partition::Controls;
use super::report::WorkerReport;
use super::runner::Runner;
use crate::error_text::text_of;
use crate::fate::Fate;
use crate::handler::BoxedHandler;
use crate::keys;
use crate::membership::Lease;
use crate::moved::Moved;
use crate::observe::{Failure, Run, Watched};
use crate::outcome::Outcome;
use crate::place::{self, Old, Place};

/// The partition beside which a feed works.
pub(super) const PARTITION: u16 = 0;

/// A handler, and what gets it events from elsewhere if there is something.
pub(super) type MaybeFed = (BoxedHandler, Option<Arc<dyn Feed>>);

/// Hands events from elsewhere to the handlers of a subscription.
pub trait Feed: Send + Sync + 'static {
    /// Works until it is told to stop; where nobody tells ([`FeedControls::drains`]), until nothing is left to do.
    fn run(self: Arc<Self>, fed: Fed, controls: FeedControls) -> BoxFuture<'static, Result<WorkerReport>>;
}

/// What a handler came to.
pub type HandlerResult = std::result::Result<Outcome, BoxError>;

/// What a feed is told while it works.
pub struct FeedControls {
    /// None in a drain.
    controls: Option<Controls>,
    topic: Arc<Topic>,
    queue: Arc<str>,
    shutdown_timeout: Duration,
}

impl FeedControls {
    pub(super) fn new(
        controls: Option<Controls>,
        topic: Arc<Topic>,
        runner: &Runner,
        shutdown_timeout: Duration,
    ) -> Self {
        Self { controls, topic, queue: runner.queue.clone(), shutdown_timeout }
    }

    /// Whether it works only until nothing is left to do.
    pub fn drains(&self) -> bool {
        self.controls.is_none()
    }

    /// Whether it is to stop, once the handlers that run have ended.
    pub fn is_stopped(&self) -> bool {
        self.controls.as_ref().is_some_and(|controls| *controls.stopped.borrow())
    }

    /// Whether handlers may begin.
    pub fn may_hand_out(&self) -> bool {
        let is_active = self.controls.as_ref().is_none_or(|controls| *controls.active.borrow());
        is_active && !self.is_stopped() && !self.with_topic(|topic| topic.is_paused(&self.queue))
    }

    /// The revision of the topic, as far as it is known.
    pub fn revision(&self) -> u64 {
        self.with_topic(|topic| topic.revision)
    }

    fn with_topic<T>(&self, look: impl FnOnce(&Topic) -> T) -> T {
        match &self.controls {
            Some(controls) => look(&controls.topic.borrow()),
            None => look(&self.topic),
        }
    }

    /// Completes when any of these may be another. Safe to cancel.
    pub async fn changed(&mut self) {
        let Some(controls) = &mut self.controls else { return std::future::pending().await };
        tokio::select! {
            _ = controls.stopped.changed() => {}
            _ = controls.active.changed() => {}
            _ = controls.topic.changed() => {}
        }
    }

    /// How long handlers get to end once it is to stop.
    pub fn shutdown_timeout(&self) -> Duration {
        self.shutdown_timeout
    }
}

/// What a feed works with.
#[derive(Clone)]
pub struct Fed {
    runner: Arc<Runner>,
    fence: Fence,
    hands: Option<Arc<Hands>>,
}

/// The right to have one handler run.
pub struct Permit {
    runner: Arc<Runner>,
    _turn: Option<OwnedRwLockReadGuard<()>>,
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.runner.pace.give_back();
    }
}

/// A handler that was begun.
pub enum Started {
    /// It has ended at once.
    Ended(FeedEnded, FeedWatched),
    /// It waits, and is to be driven to its end.
    Waits(BoxFuture<'static, (FeedEnded, FeedWatched)>),
}

/// What the handling of an event came to.
#[derive(Clone, Debug)]
pub struct FeedEnded(Option<Ended>);

impl FeedEnded {
    /// No handler has seen it, as it has to wait in the queue.
    pub fn not_begun() -> Self {
        Self(None)
    }

    /// An attempt has failed.
    pub fn failed(error: &(dyn std::error::Error + 'static)) -> Self {
        Self(Some(Ended::failed(text_of(error))))
    }

    /// What a handler said.
    pub fn of(handled: HandlerResult) -> Self {
        Self(Some(match handled {
            Ok(Outcome::Advance(_)) => Ended::failed("what a store has appended can't be advanced".to_string()),
            Ok(outcome) => outcome.into(),
            Err(error) => Ended::failed(text_of(&*error)),
        }))
    }

    /// Whether nothing is left to do.
    pub fn is_done(&self) -> bool {
        matches!(self.0, Some(Ended::Returned(Outcome::Done)))
    }
}

/// Those who are to be told what becomes of an event.
#[derive(Default)]
pub struct FeedWatched(Watched);

impl FeedWatched {
    /// Nothing of it was kept, and it is handed out again.
    pub fn release(self) {
        self.0.tell(Fate::Released, None);
    }
}

/// A run of a handler that somebody watches, or that is measured.
pub struct FeedRun(Option<Run>);

impl FeedRun {
    /// Runs the handler within the span and the trace.
    pub async fn scope<F: Future>(&self, handler: F) -> F::Output {
        match &self.0 {
            Some(run) => run.scope(handler).await,
            None => handler.await,
        }
    }

    /// The handler has ended.
    pub fn end(self) -> FeedWatched {
        FeedWatched(self.0.map(Run::end).unwrap_or_default())
    }
}

/// What a transaction that records a feed's progress goes by.
pub struct FeedChecked {
    /// The topic as the transaction sees it.
    pub topic: Topic,
    /// Whether the feed is still this worker's.
    pub is_owned: bool,
    /// What was asked for beside.
    pub rows: Vec<Option<Vec<u8>>>,
}

/// What was recorded of an event.
pub struct FeedRecorded {
    fate: Fate,
    failure: Option<Box<Failure>>,
    /// Where it waits in the queue, if it does: partition, second and id.
    pub waits_at: Option<(u16, i64, uuid::Uuid)>,
}

impl Fed {
    pub(super) fn new(runner: Arc<Runner>, lease: Option<Lease>, hands: Option<Arc<Hands>>) -> Self {
        let fence = Fence::new(&runner.queue, PARTITION, lease);
        Self { runner, fence, hands }
    }

    /// See `Origin::worker`.
    fn worker(&self) -> Option<uuid::Uuid> {
        self.fence.member().or_else(|| self.hands.as_ref().map(|hands| hands.id()))
    }

    /// The worker's database.
    pub fn database(&self) -> &Database {
        &self.runner.database
    }

    /// The name of the queue.
    pub fn queue(&self) -> &Arc<str> {
        &self.runner.queue
    }

    /// Whether later events of an entity wait for one that has failed.
    pub fn keeps_order(&self) -> bool {
        self.runner.policy.order.keeps_places()
    }

    /// Whether effects must not be committed by what was read under an earlier revision of the topic.
    pub fn is_fenced(&self, read_under: u64, revision: u64) -> bool {
        self.runner.policy.order.is_fenced(read_under, revision)
    }

    /// To be called before handlers begin, and says whether a process has died lately by what nobody knows: then events
    /// are put into the queue, where it is found out.
    ///
    /// # Errors
    /// Those of the engine: nothing is to be handed out then.
    pub async fn begin(&self) -> Result<bool> {
        let Some(hands) = &self.hands else { return Ok(false) };
        hands.begin().await?;
        Ok(hands.keeps_lists())
    }

    /// The right to have a handler run, unless as many run as may, or one that has to be alone.
    pub fn try_permit(&self) -> Option<Permit> {
        let turn = match &self.hands {
            Some(hands) => Some(hands.try_turn()?),
            None => None,
        };
        self.runner.pace.try_take().then(|| Permit { runner: self.runner.clone(), _turn: turn })
    }

    /// As [`try_permit`](Fed::try_permit), and waits for it.
    pub async fn permit(&self) -> Permit {
        let turn = match &self.hands {
            Some(hands) => Some(hands.turn().await),
            None => None,
        };
        self.runner.pace.take().await;
        Permit { runner: self.runner.clone(), _turn: turn }
    }

    /// How many of `wanted` events may be handed out now, or when the next one may, in milliseconds of the monotonic clock.
    ///
    /// # Errors
    /// The moment.
    pub fn may_start(&self, wanted: usize) -> std::result::Result<usize, u64> {
        self.runner.pace.may_start(wanted, self.database().clock().monotonic_millis())
    }

    /// Whether spans or observers want to know of events; what they are told has to be made then.
    pub fn is_watched(&self) -> bool {
        self.runner.observe.is_watched()
    }

    /// An event is handed to a handler.
    pub fn hand_out(&self, event: Option<&TitoEvent>) -> FeedRun {
        FeedRun(event.map(|event| self.runner.observe.hand_out(self.database(), PARTITION, event)))
    }

    /// Begins a handler. One that ends without waiting costs no more than a call.
    pub async fn start(&self, handler: BoxFuture<'static, HandlerResult>, event: Option<TitoEvent>) -> Started {
        if event.is_none() {
            let mut handler = AssertUnwindSafe(handler).catch_unwind();
            return match poll!(&mut handler) {
                Poll::Ready(handled) => {
                    Started::Ended(ended(Some(handled), self.runner.timeout), FeedWatched::default())
                }
                Poll::Pending => {
                    let fed = self.clone();
                    Started::Waits(
                        async move {
                            let _in_flight = fed.count_in_flight();
                            let handled = fed.limited(Pin::new(&mut handler)).await;
                            (ended(handled, fed.runner.timeout), FeedWatched::default())
                        }
                        .boxed(),
                    )
                }
            };
        }
        let (fed, run) = (self.clone(), self.hand_out(event.as_ref()));
        let mut running = async move {
            let _in_flight = fed.count_in_flight();
            let _runs = fed.hands.as_deref().zip(event.as_ref()).map(|(hands, event)| {
                let now = fed.database().clock().monotonic_millis();
                let taken = std::iter::once((PARTITION, event));
                hands.registration.running.begin(fed.queue(), now, taken)
            });
            let handled = { fed.limited(pin!(AssertUnwindSafe(run.scope(handler)).catch_unwind())).await };
            (ended(handled, fed.runner.timeout), run.end())
        }
        .boxed();
        match poll!(&mut running) {
            Poll::Ready((ended, watched)) => Started::Ended(ended, watched),
            Poll::Pending => Started::Waits(running),
        }
    }

    /// Runs a part of a transaction's handlers for as long as a handler may take; none if it takes longer. A panic is an
    /// error like others.
    pub async fn attempt(&self, handler: impl Future<Output = HandlerResult> + Send) -> Option<HandlerResult> {
        let handler = pin!(AssertUnwindSafe(handler).catch_unwind());
        let handled = self.limited(handler).await?;
        Some(handled.unwrap_or_else(|panic| Err(panicked(panic).into())))
    }

    /// What is said of a handler that was dropped where it waited.
    pub fn too_long(&self) -> String {
        did_not_end(self.runner.timeout)
    }

    /// Drops what runs where it waits when the timeout has passed.
    async fn limited<T>(&self, mut run: Pin<&mut (impl Future<Output = T> + ?Sized)>) -> Option<T> {
        let clock = self.database().clock();
        let millis = u64::try_from(self.runner.timeout.as_millis()).unwrap_or(u64::MAX);
        let ends = clock.monotonic_millis().saturating_add(millis);
        // Many handlers end without waiting, and need no timer.
        if let Poll::Ready(result) = poll!(run.as_mut()) {
            return Some(result);
        }
        match select(run, clock.wait_until_monotonic(ends)).await {
            Either::Left((result, _)) => Some(result),
            Either::Right(_) => None,
        }
    }

    fn count_in_flight(&self) -> impl Drop + use<> {
        struct InFlight(Arc<Runner>);
        impl Drop for InFlight {
            fn drop(&mut self) {
                self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
            }
        }
        self.runner.in_flight.fetch_add(1, Ordering::Relaxed);
        InFlight(self.runner.clone())
    }

    /// Reads rows, and with them what has to be known before anything is recorded.
    ///
    /// # Errors
    /// Those of the engine.
    pub async fn check(&self, tx: &Transaction, rows: Vec<Vec<u8>>) -> Result<FeedChecked> {
        let checked = self.fence.read(tx, rows).await?;
        Ok(FeedChecked { topic: checked.topic, is_owned: checked.is_owned, rows: checked.events })
    }

    /// Writes what becomes of an event that did not get done into the queue, as the subscription has it: it is tried
    /// again, or is a dead letter.
    ///
    /// # Errors
    /// Those of the engine.
    pub async fn put(
        &self,
        tx: &Transaction,
        topic: &Topic,
        event: &TitoEvent,
        ended: &FeedEnded,
    ) -> Result<FeedRecorded> {
        let place = Place::of(event, topic);
        let row = event.encode()?;
        let Some(ended) = &ended.0 else {
            self.put_at(tx, place, row).await?;
            return Ok(FeedRecorded { fate: Fate::Released, failure: None, waits_at: waits_at(place) });
        };
        let Decided { fate, row, failure } = {
            let rules = Rules {
                policy: &self.runner.policy,
                topic,
                partition: place.partition,
                handled_by: HandledBy { worker: self.worker(), duration: None },
                id: &|| event.id,
                most_bytes: self.database().limits().value_bytes,
                now: tx.now(),
                random: fastrand::f64(),
            };
            decide(&place.key(self.queue()), row, ended, &rules)?
        };
        // A log is its own history.
        let row = row.filter(|_| fate != Fate::Done);
        let waits_at = row.as_ref().and_then(|(place, _)| waits_at(*place));
        if let Some((place, row)) = row {
            self.put_at(tx, place, row).await?;
        }
        Ok(FeedRecorded { fate, failure, waits_at })
    }

    /// Nobody knows it by an earlier place.
    async fn put_at(&self, tx: &Transaction, place: Place, row: Vec<u8>) -> Result<()> {
        let key = place.key(self.queue());
        place::put(tx, self.queue(), place, row, Some(Old::found(tx, &key).await?)).await
    }

    /// The key of an event that waits in the queue.
    pub fn key_of(&self, (partition, second, id): (u16, i64, uuid::Uuid)) -> Vec<u8> {
        keys::event(self.queue(), partition, second, id)
    }

    /// Where events wait now that were moved from where they were put; none of those that wait no more.
    ///
    /// # Errors
    /// Those of the engine.
    pub async fn moved(
        &self,
        tx: &Transaction,
        places: &[(u16, i64, uuid::Uuid)],
    ) -> Result<Vec<Option<(u16, i64, uuid::Uuid)>>> {
        let notes = places.iter().map(|(_, _, id)| keys::moved_event(self.queue(), *id)).collect();
        let notes = tx.batch_get(notes).await?;
        let place_of = |(note, (_, _, id)): (Option<Vec<u8>>, &(u16, i64, uuid::Uuid))| {
            let (partition, second) = Moved::read(tx.database(), self.queue(), *id, &note?)?;
            Some((partition, second, *id))
        };
        let mut moved: Vec<_> = notes.into_iter().zip(places).map(place_of).collect();
        let stored = tx.batch_get(moved.iter().flatten().map(|place| self.key_of(*place)).collect()).await?;
        let mut is_there = stored.into_iter().map(|stored| stored.is_some());
        for place in &mut moved {
            *place = place.filter(|_| is_there.next().unwrap_or(false));
        }
        Ok(moved)
    }

    /// Tells what was recorded of an event, and counts it.
    pub fn tell(&self, report: &mut WorkerReport, recorded: &FeedRecorded, watched: FeedWatched) {
        if let Some(failure) = &recorded.failure {
            self.runner.log(recorded.fate, failure);
        }
        watched.0.tell(recorded.fate, recorded.failure.as_deref().map(|failure| failure.error.as_str()));
        report.count(recorded.fate);
        if recorded.fate != Fate::Released {
            self.runner.observe.meters.handled(recorded.fate);
        }
    }

    /// Tells that it was recorded that some events are done, and counts them.
    pub fn tell_done(&self, report: &mut WorkerReport, done: u64, watched: impl IntoIterator<Item = FeedWatched>) {
        report.done += done;
        self.runner.observe.meters.handled_many(Fate::Done, done);
        watched.into_iter().for_each(|one| one.0.tell(Fate::Done, None));
    }
}

fn waits_at(place: Place) -> Option<(u16, i64, uuid::Uuid)> {
    (place.kind == place::Kind::Pending).then_some((place.partition, place.second, place.id))
}

fn ended(handled: Option<std::thread::Result<HandlerResult>>, timeout: Duration) -> FeedEnded {
    match handled {
        Some(Ok(handled)) => FeedEnded::of(handled),
        Some(Err(panic)) => FeedEnded(Some(Ended::failed(panicked(panic)))),
        None => FeedEnded(Some(Ended::failed(did_not_end(timeout)))),
    }
}

fn panicked(panic: Box<dyn std::any::Any + Send>) -> String {
    format!("the handler panicked: {}", panics::text_of(panic))
}

fn did_not_end(timeout: Duration) -> String {
    format!("the handler did not end within {timeout:?}")
}
