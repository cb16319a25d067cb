//! Dead letters: events that failed for good.
//!
//! | file | idea |
//! |---|---|
//! | `list` | finds them |
//! | `groups` | groups them by what their errors have in common |
//! | `redrive` | makes them due again, at their old places |
//! | `purge` | deletes them |

mod groups;
mod list;
mod purge;
mod redrive;

pub use groups::{DeadLetterGroup, DeadLetterGroups, fingerprint_of};
pub use list::DeadLetter;
pub use redrive::Redriven;
