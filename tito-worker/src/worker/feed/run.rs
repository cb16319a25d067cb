//! Runs a feed's handlers within the limits of its subscription.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;

use futures::future::{BoxFuture, Either, select};
use futures::{FutureExt, poll};
use tito_core::event::TitoEvent;
use tokio::sync::OwnedRwLockReadGuard;

use super::ended::{did_not_end, ended, panicked};
use super::{Fed, FeedEnded, FeedRun, FeedWatched, HandlerResult, PARTITION};
use crate::worker::runner::Runner;

/// Permission to run one handler.
pub struct Permit {
    runner: Arc<Runner>,
    _turn: Option<OwnedRwLockReadGuard<()>>,
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.runner.pace.give_back();
    }
}

/// A started handler.
pub enum Started {
    /// It has already ended.
    Ended(FeedEnded, FeedWatched),
    /// It waits, and has to be driven to its end.
    Waits(BoxFuture<'static, (FeedEnded, FeedWatched)>),
}

impl Fed {
    /// Permission to run a handler, unless the maximum is running, or one that has to be alone.
    pub fn try_permit(&self) -> Option<Permit> {
        let turn = match &self.hands {
            Some(hands) => Some(hands.try_turn()?),
            None => None,
        };
        self.runner.pace.try_take().then(|| Permit { runner: self.runner.clone(), _turn: turn })
    }

    /// Like [`try_permit`](Fed::try_permit), but waits for it.
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
        self.runner.pace.may_start(wanted, || self.database().clock().monotonic_millis())
    }

    /// Whether spans or observers want to hear about events; if so, what to tell them has to be created.
    pub fn is_watched(&self) -> bool {
        self.runner.observe.is_watched()
    }

    /// An event is handed to a handler.
    pub fn hand_out(&self, event: Option<&TitoEvent>) -> FeedRun {
        FeedRun(event.map(|event| {
            let now = self.database().clock().monotonic_millis();
            self.runner.observe.hand_out(self.database(), PARTITION, event, now)
        }))
    }

    /// Starts a handler. One that ends without waiting costs no more than a call.
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

    /// Runs part of a transaction's handlers for as long as a handler may take; `None` if it takes longer. A panic
    /// counts as an error.
    pub async fn attempt(&self, handler: impl Future<Output = HandlerResult> + Send) -> Option<HandlerResult> {
        let handler = pin!(AssertUnwindSafe(handler).catch_unwind());
        let handled = self.limited(handler).await?;
        Some(handled.unwrap_or_else(|panic| Err(panicked(panic).into())))
    }

    /// The error of a handler that was dropped while it waited.
    pub fn too_long(&self) -> String {
        did_not_end(self.runner.timeout)
    }

    /// Drops what runs at its current await when the timeout has passed.
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
}
