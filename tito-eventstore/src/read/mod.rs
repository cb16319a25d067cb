//! Reads events in the order of their sequences.
//!
//! | file | idea |
//! |---|---|
//! | `page_size` | how many rows a page asks for |
//! | `source` | one range of keys, with what was read ahead of it |
//! | `cursor` | pages of events, up to a sequence |
//! | `stream` | events one by one, to the end or for ever |
//! | `wait` | until there may be more |
//! | `evolve`, `evolve_all` | models folded from events |
//! | `stopped` | why folding has stopped, and where |
//! | `at_time` | what there was at a point in time |

mod at_time;
mod cursor;
mod evolve;
mod evolve_all;
mod page_size;
mod source;
mod stopped;
mod stream;
mod wait;

pub(crate) use cursor::{Cursor, read_head};
pub(crate) use evolve::{evolve_one, fold_all};
pub use evolve_all::Evolving;
pub use stopped::EvolveError;
pub(crate) use wait::Wait;
