//! The result of a command.

use crate::event::Event;

/// The result of a command: the events that were appended, or none if nothing happened.
#[derive(Clone, Debug, Default)]
pub struct Decision {
    pub(super) events: Vec<Event>,
    pub(super) is_repeated: bool,
}

impl Decision {
    /// The events as they are stored, in the order in which they were decided.
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    /// The same, by value.
    pub fn into_events(self) -> Vec<Event> {
        self.events
    }

    /// Their last sequence; `None` if nothing happened.
    pub fn last_sequence(&self) -> Option<u64> {
        self.events.iter().map(Event::sequence).max()
    }

    /// Whether nothing happened, and nothing was appended.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// Whether the command was decided on before, according to its id. The events are those of that time, as far as the
    /// store still has them, and the model has not evolved by them.
    pub fn is_repeated(&self) -> bool {
        self.is_repeated
    }
}
