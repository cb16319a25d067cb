//! Long tasks that an operator starts: a durable row with a cursor, which any worker moves forward step by step.
//!
//! Each step is one transaction that reads the row and writes it again with its progress, so of two workers that step
//! at once one meets a conflict, and after a death the next one continues at the cursor. An application's own step is
//! not part of the row's transaction: it may be done twice, and is given a key by which it need not.
//!
//! | file | idea |
//! |---|---|
//! | `task` | what can be done, and to what |
//! | `row` | what is stored |
//! | `info` | how it is shown |
//! | `handle` | start, list, stop, wait |
//! | `rehearsed` | how much one would affect |
//! | `step` | one step of one of them |
//! | `by_application` | steps for which the application's models and projections are needed |
//! | `cursor` | keys as cursors |
//! | `letters`, `pending`, `replayed` | a step over dead letters, over what is pending, over history |
//! | `reindexed`, `rebuilt`, `resumed` | a step over a table and an index, of a projection, over what a restore has paused |
//! | `registered` | what an application has registered |
//! | `named` | steps that are the application's |
//! | `background` | what a worker does beside its partitions |
//! | `operator` | who changed what, and why |

mod background;
mod by_application;
mod cursor;
mod handle;
mod info;
mod letters;
mod named;
mod operator;
mod pending;
mod rebuilt;
mod registered;
mod rehearsed;
mod reindexed;
mod replayed;
mod resumed;
mod row;
mod step;
mod task;

pub(crate) use background::run;
pub use handle::Operations;
pub use info::{OperationInfo, OperationState};
pub use named::{NamedStep, Stepped};
pub use operator::Operator;
pub use rebuilt::{RebuildProgress, Rebuilds};
pub(crate) use registered::OperationTypes;
pub use rehearsed::Rehearsed;
pub use task::{EventFilter, Operation, OperationTask};
