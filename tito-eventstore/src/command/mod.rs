//! Commands: what they are, what may come with them, and what they come to.
//!
//! | file | idea |
//! |---|---|
//! | `envelope` | a command with its id, time, type and metadata |
//! | `ask` | the forms in which a store takes a command |
//! | `decided` | what a command with an id has come to, as it is stored |
//! | `decision` | what a command has come to, as it is returned |
//! | `decide` | decides, appends, evolves |

mod ask;
mod decide;
mod decided;
mod decision;
mod envelope;

pub use ask::Ask;
pub(crate) use decided::{CommandMark, Decided};
pub use decision::Decision;
pub use envelope::{Envelope, RawCommand};
