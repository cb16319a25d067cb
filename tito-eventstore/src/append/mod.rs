//! Appends events.
//!
//! Every append to a store writes its head, so of two transactions that append to one store the later one meets a
//! conflict: sequences are consecutive in commit order, and what an append has checked still holds when it commits.
//!
//! | file | idea |
//! |---|---|
//! | `prepared` | an event, checked by itself |
//! | `taken` | ids that are taken, and by what |
//! | `state` | what a transaction knows of a store, and how appends change it |
//! | `known` | what a process remembers of the last transaction |
//! | `read`, `write` | from the transaction into the state, and back |
//! | `group_commit` | appends of one process that share a transaction |

mod group_commit;
mod known;
mod prepared;
mod read;
mod state;
mod taken;
mod write;

pub(crate) use group_commit::{GroupCommit, append_in};
pub(crate) use prepared::{Append, check_id, prepare};
pub(crate) use state::Outcome;
