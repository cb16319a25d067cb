//! A handler's result, and who has to be told.

use std::time::Duration;

use tito_core::panics;

use super::HandlerResult;
use crate::error_text::text_of;
use crate::fate::Fate;
use crate::observe::{Run, Watched};
use crate::outcome::Outcome;
use crate::worker::decide::Ended;

/// The result of handling an event.
#[derive(Clone, Debug)]
pub struct FeedEnded(pub(super) Option<Ended>);

impl FeedEnded {
    /// No handler has seen it, because it has to wait in the queue.
    pub fn not_begun() -> Self {
        Self(None)
    }

    /// An attempt has failed.
    pub fn failed(error: &(dyn std::error::Error + 'static)) -> Self {
        Self(Some(Ended::failed(text_of(error))))
    }

    /// The handler's answer.
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

/// Those who have to be told what becomes of an event.
#[derive(Default)]
pub struct FeedWatched(pub(super) Watched);

impl FeedWatched {
    /// Nothing was recorded, and the event is handed out again.
    pub fn release(self) {
        self.0.tell(Fate::Released, None);
    }
}

/// A run of a handler that is observed or measured.
pub struct FeedRun(pub(super) Option<Run>);

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

pub(super) fn ended(handled: Option<std::thread::Result<HandlerResult>>, timeout: Duration) -> FeedEnded {
    match handled {
        Some(Ok(handled)) => FeedEnded::of(handled),
        Some(Err(panic)) => FeedEnded(Some(Ended::failed(panicked(panic)))),
        None => FeedEnded(Some(Ended::failed(did_not_end(timeout)))),
    }
}

pub(super) fn panicked(panic: Box<dyn std::any::Any + Send>) -> String {
    format!("the handler panicked: {}", panics::text_of(panic))
}

pub(super) fn did_not_end(timeout: Duration) -> String {
    format!("the handler did not end within {timeout:?}")
}
