//! The keys of the worker, beside those of the core that it uses. `docs/format.md` specifies all of them.

mod facts;
mod kept;
mod operations;
mod ownership;
mod settled;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;

pub(crate) use facts::*;
pub use kept::*;
pub use operations::*;
pub use ownership::*;
pub use settled::*;
pub use tito_core::keys::{
    EventPlace, MAX_EVENT_SECONDS, MAX_PARTITIONS, all_owned, event, events, events_from_second, events_of_partition,
    events_of_queue, idempotency_marker, idempotency_markers, is_event, owned, owned_by, parse_event,
    parse_event_partition, parse_event_second, parse_event_second_and_id, parse_owned, parse_topic, partition_of,
    topic, topics,
};
