//! The log of a store: where it lies, and what is stored of it beside its events.
//!
//! | file | idea |
//! |---|---|
//! | `handle` | a store's log, as everything above holds it |
//! | `shared` | what all stores of a manager share |
//! | `definition` | what is stored of a store, under its name |
//! | `retention` | how much a store keeps |
//! | `ends` | its first and its last sequence |
//! | `last` | the last sequences of an entity, or of a type |
//! | `decided` | what a command with an id has come to |
//! | `wake` | the topics of projections and reactors, and the events that wake projections |

mod decided;
mod definition;
mod ends;
mod handle;
mod last;
mod retention;
mod shared;
mod wake;

pub(crate) use self::decided::{CommandMark, Decided};
pub(crate) use self::definition::{Definition, read_definition};
pub(crate) use self::ends::{Head, Tail};
pub(crate) use self::handle::{Log, channel};
pub(crate) use self::last::Last;
pub use self::retention::Retention;
pub(crate) use self::shared::{Background, Ids, Shared};
pub(crate) use self::wake::{check_topic, topic, wake};
