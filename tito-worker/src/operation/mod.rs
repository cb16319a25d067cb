//! What an operator begins that takes long: a durable row with a cursor, which any worker steps.
//!
//! Each step is one transaction that reads the row and writes it again with what it has done, so of two workers that step
//! at once one meets a conflict, and after a death the next one goes on at the cursor. A step that is the application's
//! own is no transaction of the row's: it can be done twice, and must be able to.
//!
//! | file | idea |
//! |---|---|
//! | `task` | what can be done, and to what |
//! | `row` | what is stored |
//! | `info` | how it is shown |
//! | `handle` | start, list, stop, wait |
//! | `step` | one step of one of them |
//! | `letters`, `pending`, `replayed` | a step over dead letters, over what is pending, over history |
//! | `named` | steps that are the application's |
//! | `background` | what a worker does beside its partitions |
//! | `operator` | who changed what, and why |

mod background;
mod handle;
mod info;
mod letters;
mod named;
mod operator;
mod pending;
mod replayed;
mod row;
mod step;
mod task;

pub(crate) use background::run;
pub use handle::Operations;
pub use info::{OperationInfo, OperationState};
pub(crate) use named::NamedSteps;
pub use named::{NamedStep, Stepped};
pub use operator::Operator;
pub use task::{EventFilter, Operation, OperationTask};
