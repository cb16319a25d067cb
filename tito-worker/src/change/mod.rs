//! Published events are cancelled, or put to another time.
//!
//! | file | idea |
//! |---|---|
//! | `locate` | where an event lies now, and what taking it away means to workers |
//! | `cancel`, `reschedule` | what is done with it |

mod cancel;
mod locate;
mod reschedule;

pub(crate) use locate::{Located, Sought, holds_up_until, locate, locate_all};
