//! What there is in a queue, for tools and dashboards, and its removal by hand.
//!
//! | file | idea |
//! |---|---|
//! | `state` | what a stored event waits for |
//! | `stats` | how many there are |
//! | `peek` | the events themselves |
//! | `find` | one event, wherever it is |
//! | `purge` | deletes what is pending |
//! | `shown` | how keys and bytes are shown |

mod find;
mod peek;
mod purge;
mod shown;
mod state;
mod stats;

pub use find::{FoundEvent, FoundIn};
pub use peek::PendingEvent;
pub(crate) use shown::{serialize_bytes, serialize_key};
pub use state::PendingState;
pub(crate) use state::read_event;
pub use stats::{Counts, PartitionStats, QueueStats};
