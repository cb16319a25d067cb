//! History: events that are done are kept for a time, and can be handled again.
//!
//! | file | idea |
//! |---|---|
//! | `read` | what was done |
//! | `replay` | copies it into a queue |
//! | `walk` | goes through it |

mod read;
mod replay;
mod walk;

pub use read::DoneEvent;
pub(crate) use replay::pending_ids;
pub use replay::{Replay, Replayed};
pub(crate) use walk::PastWalk;
