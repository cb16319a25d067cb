//! What a command has come to.

use crate::event::Event;

/// What a command has come to: the events that were appended, or none if nothing happened.
#[derive(Clone, Debug, Default)]
pub struct Decision {
    pub(super) events: Vec<Event>,
    pub(super) is_repeated: bool,
}

impl Decision {
    /// The events as they are stored, in the order in which they were decided on.
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    /// The same, for those who go on with them.
    pub fn into_events(self) -> Vec<Event> {
        self.events
    }

    /// The last sequence of them; none if nothing happened.
    pub fn last_sequence(&self) -> Option<u64> {
        self.events.iter().map(Event::sequence).max()
    }

    /// Whether nothing happened, and nothing was appended.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// Whether the command was decided on before, as its id shows. The events are those of that time, as far as the
    /// store still has them, and the model has not evolved by them.
    pub fn is_repeated(&self) -> bool {
        self.is_repeated
    }
}
