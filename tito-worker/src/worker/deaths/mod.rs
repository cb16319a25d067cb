//! Events that kill their process.
//!
//! A worker that serves leaves a mark when it first hands something out, and takes it away when it ends. Whoever finds the
//! mark of a dead one goes on carefully: it keeps a list of what is in hand, written before each hand-out. If it dies too,
//! the list says whom to suspect. Suspects run alone in their process, and a death is charged to nobody else.
//!
//! | file | idea |
//! |---|---|
//! | `mark` | what is stored |
//! | `in_hand` | the list of what is in hand |
//! | `hands` | what a worker has in hand, and who may run beside whom |
//! | `seen` | who serves a queue, by these marks |
//! | `finding` | what is done about the marks of the dead |
//! | `dropped` | who is taken for dead, and is not |

mod dropped;
mod finding;
mod hands;
mod in_hand;
mod mark;
mod seen;

pub(super) use hands::{Alone, Hands};
pub(crate) use seen::live_marks;
