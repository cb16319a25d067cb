//! The application's own hooks.

use std::sync::Arc;
use std::time::Duration;

use tito_core::event::TitoEvent;
use tito_core::panics;

use crate::fate::Fate;

/// Sees every event that a worker hands out, and what happened to it:
/// [`WorkerBuilder::observe`](crate::WorkerBuilder::observe).
///
/// It is called twice for each event: when the event is handed out, and when its outcome is recorded, or known not to
/// be. Both calls are made in the worker's tasks, so they should be quick and must not block: the second is mostly made
/// in the task that reads and acknowledges the events of a whole partition, which waits meanwhile. Send anything that
/// takes longer to a channel. A panic is logged and changes nothing.
///
/// ```
/// use tito_worker::observe::{EndedRun, Fate, Observer};
///
/// struct Alarm;
///
/// impl Observer for Alarm {
///     fn handled(&self, handled: &EndedRun<'_>) {
///         if handled.fate == Fate::Dead {
///             eprintln!("{} failed for good: {}", handled.event.entity, handled.error.unwrap_or_default());
///         }
///     }
/// }
/// ```
pub trait Observer: Send + Sync + 'static {
    /// An event is about to be given to its handler.
    fn handed_out(&self, event: &TitoEvent) {
        let _ = event;
    }

    /// A handler has ended, and the outcome is recorded, or known not to be.
    fn handled(&self, handled: &EndedRun<'_>) {
        let _ = handled;
    }
}

/// One run of a handler that has ended.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct EndedRun<'a> {
    /// The event, as it was handed out.
    pub event: &'a TitoEvent,
    /// What happened to it.
    pub fate: Fate,
    /// Which attempt it was, counted from 1.
    pub attempt: u32,
    /// How long the handler ran, by the machine's monotonic clock.
    pub duration: Duration,
    /// Why it failed, cut to 500 bytes.
    pub error: Option<&'a str>,
}

/// All observers of a worker.
#[derive(Clone, Default)]
pub(crate) struct Observers(Arc<Vec<Arc<dyn Observer>>>);

impl Observers {
    pub(crate) fn add(&mut self, observer: impl Observer) {
        Arc::make_mut(&mut self.0).push(Arc::new(observer));
    }

    pub(super) fn are_none(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn tell(&self, what: impl Fn(&dyn Observer)) {
        for observer in self.0.iter() {
            if let Err(error) = panics::caught(|| what(&**observer)) {
                tracing::error!(error, "an observer panicked; the worker goes on");
            }
        }
    }
}
