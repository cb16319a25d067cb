//! What an operator wants to see of a queue at a glance, at a cost that does not grow with its size.
//!
//! | file | idea |
//! |---|---|
//! | `backlog` | how much is due |
//! | `activity` | what was done, by minute |
//! | `gauges` | the same, and who works, as metrics |

mod activity;
mod backlog;
mod gauges;

pub use activity::MinuteActivity;
pub use backlog::Backlog;
pub(crate) use gauges::keep_gauges;
