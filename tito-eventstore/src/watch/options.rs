//! What is watched, and how.

use std::fmt;

use crate::error::EventStoreError;
use crate::event::Event;
use crate::select::Select;

pub(super) type Handler = Box<dyn Fn(&WatchError<'_>) -> OnError + Send + Sync>;

/// What a model follows: a selection, which is enough on its own, with options.
#[must_use]
pub struct Watch {
    pub(super) select: Select,
    pub(super) catches_up: bool,
    pub(super) on_error: Option<Handler>,
}

/// An error of a watcher: an event can't be read, its model can't evolve by one, or the engine fails.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct WatchError<'a> {
    /// The sequence of the event; `None` if the engine fails.
    pub sequence: Option<u64>,
    /// The event, as it was appended if it can't be upgraded to the program's version; `None` if it is damaged.
    pub event: Option<&'a Event>,
    /// What is wrong.
    pub error: &'a EventStoreError,
    /// How many times in a row this has gone wrong, from 1 on.
    pub attempt: u32,
}

impl fmt::Display for WatchError<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

/// What a watcher does after an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnError {
    /// It ends before the event, with the error.
    Stop,
    /// It skips the event. If the engine fails, the same as [`TryAgain`](OnError::TryAgain).
    Skip,
    /// It reads the event again and lets the model evolve by it, after 200 ms by the engine's clock, and each time
    /// after twice as long, up to a minute. A watcher that is [stopped](crate::Watcher::stop) does so at once, and only
    /// once.
    TryAgain,
}

/// A handler that returns nothing skips the event.
impl From<()> for OnError {
    fn from((): ()) -> Self {
        Self::Skip
    }
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

    /// Begins with what is kept, as [`Select::kept`].
    pub fn kept(self) -> Self {
        Self { select: self.select.kept(), ..self }
    }

    /// Does not wait until the model has caught up.
    pub fn no_wait(self) -> Self {
        Self { catches_up: false, ..self }
    }

    /// What to call when an event can't be read, or the model can't evolve by it; it answers with an [`OnError`].
    /// Without it such an event ends the watcher.
    ///
    /// It is also called when the engine fails, and can then end the watcher, which otherwise tries again. While
    /// `watch` waits for the model to catch up, it returns the engine's errors instead.
    ///
    /// ```
    /// use tito_eventstore::{OnError, Watch, WatchError};
    ///
    /// let watch = Watch::filter("account").on_error(|met: &WatchError<'_>| match met.sequence {
    ///     // Maybe another program is about to repair it.
    ///     Some(_) if met.attempt < 5 => OnError::TryAgain,
    ///     Some(sequence) => {
    ///         eprintln!("passing over event {sequence}: {met}");
    ///         OnError::Skip
    ///     }
    ///     None => OnError::TryAgain,
    /// });
    /// ```
    pub fn on_error<A: Into<OnError>>(self, handler: impl Fn(&WatchError<'_>) -> A + Send + Sync + 'static) -> Self {
        Self { on_error: Some(Box::new(move |met| handler(met).into())), ..self }
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
