//! What is watched, and how.

use std::fmt;

use crate::error::EventStoreError;
use crate::read::Select;

type OnError = Box<dyn Fn(&EventStoreError) + Send + Sync>;

/// What a model follows: a selection, which is enough by itself, with options.
#[must_use]
pub struct Watch {
    pub(super) select: Select,
    pub(super) catches_up: bool,
    pub(super) on_error: Option<OnError>,
}

impl Watch {
    /// All events.
    pub fn all() -> Self {
        Select::all().into()
    }

    /// The events that a pattern selects, as [`Select::filter`].
    pub fn filter(pattern: impl Into<String>) -> Self {
        Select::filter(pattern).into()
    }

    /// And those that another pattern selects.
    pub fn or(self, pattern: impl Into<String>) -> Self {
        Self { select: self.select.or(pattern), ..self }
    }

    /// Only those after this sequence.
    pub fn after(self, sequence: u64) -> Self {
        Self { select: self.select.after(sequence), ..self }
    }

    /// Does not wait until the model has caught up.
    pub fn no_wait(self) -> Self {
        Self { catches_up: false, ..self }
    }

    /// What is told of errors. An event by which the model can't evolve is then passed over; otherwise it ends the
    /// watcher. While the engine is not available the watcher tries again in any case. Errors of catching up are
    /// returned, not told here, unless nobody waits for it.
    pub fn on_error(self, handler: impl Fn(&EventStoreError) + Send + Sync + 'static) -> Self {
        Self { on_error: Some(Box::new(handler)), ..self }
    }
}

impl<S: Into<Select>> From<S> for Watch {
    fn from(select: S) -> Self {
        Self { select: select.into(), catches_up: true, on_error: None }
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch")
            .field("select", &self.select)
            .field("catches_up", &self.catches_up)
            .finish_non_exhaustive()
    }
}
