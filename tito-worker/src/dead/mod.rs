//! Dead letters: events that failed for good.
//!
//! | file | idea |
//! |---|---|
//! | `list` | finds them |
//! | `redrive` | makes them due again, at their old places |
//! | `purge` | deletes them |

mod list;
mod purge;
mod redrive;

pub use list::DeadLetter;
pub use redrive::Redriven;
