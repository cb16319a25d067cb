//! Long tasks that an operator starts: a durable row with a cursor, which any worker moves forward step by step.
//!
//! Each step is one transaction that reads the row and writes it again with its progress, so of two workers that step
//! at once one meets a conflict, and after a death the next one continues at the cursor. An application's own step is
//! not part of the row's transaction: it may be done twice, and must tolerate that.
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
