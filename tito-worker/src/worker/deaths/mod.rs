//! Events that kill their process.
//!
//! A serving worker leaves a mark when it first hands something out, and removes it when it ends. Whoever finds the
//! mark of a dead worker continues carefully: it keeps a list of what is in hand, written before each hand-out. If it
//! dies too, the list says whom to suspect. Suspects run alone in their process, and no other event is charged with a
//! death.
//!
//! | file | idea |
//! |---|---|
//! | `mark` | what is stored |
//! | `in_hand` | the list of what is in hand |
//! | `hands` | what a worker has in hand, and who may run alongside whom |
//! | `seen` | who serves a queue, according to these marks |
//! | `finding` | what happens to the marks of the dead |
//! | `dropped` | who looks dead and isn't |

mod dropped;
mod finding;
mod hands;
mod in_hand;
mod mark;
mod seen;

pub(super) use hands::{Alone, Hands};
pub(crate) use seen::live_marks;
