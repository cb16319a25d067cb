//! Published events are cancelled, or put to another time.
//!
//! | file | idea |
//! |---|---|
//! | `locate` | where an event lies now |
//! | `cancel`, `reschedule` | what is done with it |
//! | `waiting` | what that means for the events that wait behind it |

mod cancel;
mod locate;
mod reschedule;
mod waiting;

pub(crate) use locate::locate;
pub(crate) use waiting::{holds_up_later_ones, let_later_ones_go};
