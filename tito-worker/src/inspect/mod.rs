//! What there is in a queue, for tools and dashboards, and its removal by hand.
//!
//! | file | idea |
//! |---|---|
//! | `bounds` | how far a search goes |
//! | `caused` | what an event caused |
//! | `state` | what a stored event waits for |
//! | `stats` | how many there are |
//! | `peek` | the events themselves |
//! | `find` | one event, wherever it is |
//! | `purge` | deletes what is pending |
//! | `shown` | how keys and bytes are shown |

mod bounds;
mod caused;
mod find;
mod peek;
mod purge;
mod shown;
mod state;
mod stats;

pub use bounds::SearchBounds;
pub use caused::CausedEvents;
pub use find::{FoundEvent, FoundIn};
pub use peek::PendingEvent;
pub(crate) use shown::{serialize_bytes, serialize_key, serialize_key_or_none, shown_bytes};
pub use state::PendingState;
pub(crate) use state::{later_version, read_event};
pub use stats::{Counts, PartitionStats, QueueStats};

#[cfg(test)]
mod tests {
    use serde::Serialize;

    use crate::*;

    /// Compiles only if they are.
    #[allow(dead_code)]
    fn what_calls_return_is_serialisable() {
        fn is<T: Serialize>() {}
        is::<(QueueStats, PendingEvent, FoundEvent, DoneEvent, DeadLetter)>();
        is::<(Explanation, EntityEvents, CausedEvents, DeadLetterGroups)>();
        is::<(Redriven, Replayed, Resized, Swept, Published)>();
        is::<(ScheduleInfo, MemberInfo, LeaseInfo, WorkerReport)>();
        is::<(WorkerInfo, FleetInfo, InHand, Backlog, MinuteActivity)>();
        is::<(tito_core::event::Topic, tito_core::event::Group, tito_core::event::EventReference)>();
    }
}
