//! History: events that are done are kept for a time, and can be handled again.
//!
//! | file | idea |
//! |---|---|
//! | `read` | what was done |
//! | `replay` | copies it into a queue |

mod read;
mod replay;

pub use read::DoneEvent;
pub use replay::{Replay, Replayed};
