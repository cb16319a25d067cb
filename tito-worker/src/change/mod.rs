//! Published events are cancelled, or put to another time.
//!
//! | file | idea |
//! |---|---|
//! | `locate` | where an event lies now |
//! | `cancel`, `reschedule` | what is done with it |

mod cancel;
mod locate;
mod reschedule;

pub(crate) use locate::locate;
