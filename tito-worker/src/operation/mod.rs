//! What an operator begins that takes long: a durable row with a cursor, which any worker steps.
//!
//! Each step is one transaction that reads the row and writes it again with what it has done, so of two workers that step
//! at once one meets a conflict, and after a death the next one goes on at the cursor. A step that is the application's
//! own is no transaction of the row's: it can be done twice, and is told a key by which it need not.
//!
//! | file | idea |
//! |---|---|
//! | `task` | what can be done, and to what |
//! | `row` | what is stored |
//! | `info` | how it is shown |
//! | `handle` | start, list, stop, wait |
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
pub use operator::{AuditRecord, AuditSink, Operator};
pub use rebuilt::{RebuildProgress, Rebuilds};
pub(crate) use registered::OperationTypes;
pub use task::{EventFilter, Operation, OperationTask};
