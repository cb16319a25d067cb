//! The application's own hooks.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tito_core::event::TitoEvent;
use tito_core::panics;

/// Sees every event that a worker hands out, and what became of it:
/// [`WorkerBuilder::observe`](crate::WorkerBuilder::observe).
///
/// Both are called in the handler's task, so they should be quick and must not block. A panic of theirs is logged and
/// changes nothing.
///
/// ```
/// use tito_worker::observe::{Handled, HandledAs, Observer};
///
/// struct Alarm;
///
/// impl Observer for Alarm {
///     fn handled(&self, handled: &Handled<'_>) {
///         if handled.kind == HandledAs::Dead {
///             eprintln!("{} was given up: {}", handled.event.entity, handled.error.unwrap_or_default());
///         }
///     }
/// }
/// ```
pub trait Observer: Send + Sync + 'static {
    /// An event is about to be given to its handler.
    fn handed_out(&self, event: &TitoEvent) {
        let _ = event;
    }

    /// A handler has ended. The outcome of a plain handler is about to be recorded; that of a transactional one is.
    fn handled(&self, handled: &Handled<'_>) {
        let _ = handled;
    }
}

/// One run of a handler that has ended.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Handled<'a> {
    /// The event, as it was handed out.
    pub event: &'a TitoEvent,
    /// What becomes of it.
    pub kind: HandledAs,
    /// Which attempt it was, counted from 1.
    pub attempt: u32,
    /// How long the handler ran, by the machine's monotonic clock.
    pub duration: Duration,
    /// Why it failed or was given up, cut to 500 bytes. `None` also where a transactional handler has recorded by itself
    /// that the event is to be given up or tried again.
    pub error: Option<&'a str>,
}

/// What becomes of an event that was handed out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HandledAs {
    /// It is done and deleted.
    Done,
    /// The attempt has failed; it is tried again later.
    Retried,
    /// It is handed out again at another time, which is no attempt.
    Rescheduled,
    /// It is given up, and moved to the dead letters.
    Dead,
    /// It is given up, and deleted as its subscription says.
    Discarded,
    /// What was stored was no event, and is moved to the dead letters. No handler has seen it.
    Malformed,
    /// It was gone when the outcome was to be recorded: another worker had recorded one first.
    Elsewhere,
    /// It was moved to the partition where it belongs now. No handler has seen it.
    Moved,
    /// Nothing was done: the partition has another owner, or the topic was changed, and the event is read again.
    PutBack,
}

impl HandledAs {
    pub(super) const ALL: [Self; 9] = [
        Self::Done,
        Self::Retried,
        Self::Rescheduled,
        Self::Dead,
        Self::Discarded,
        Self::Malformed,
        Self::Elsewhere,
        Self::Moved,
        Self::PutBack,
    ];

    /// The name in metrics and spans: the variant's in snake case.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Retried => "retried",
            Self::Rescheduled => "rescheduled",
            Self::Dead => "dead",
            Self::Discarded => "discarded",
            Self::Malformed => "malformed",
            Self::Elsewhere => "elsewhere",
            Self::Moved => "moved",
            Self::PutBack => "put_back",
        }
    }
}

impl fmt::Display for HandledAs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// All observers of a worker.
#[derive(Clone, Default)]
pub(crate) struct Observers(Vec<Arc<dyn Observer>>);

impl Observers {
    pub(crate) fn add(&mut self, observer: impl Observer) {
        self.0.push(Arc::new(observer));
    }

    pub(super) fn are_none(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn tell(&self, what: impl Fn(&dyn Observer)) {
        for observer in &self.0 {
            if let Err(error) = panics::caught(|| what(&**observer)) {
                tracing::error!(error, "an observer panicked; the worker goes on");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_guide_has_every_outcome() {
        let guide = include_str!("../../../docs/guide/observability.md");
        for kind in HandledAs::ALL {
            assert!(guide.contains(&format!("| `{kind}` |")), "{kind} is not in the guide");
        }
    }
}
