//! What applications see of their workers: spans, metrics, and their own observers.
//!
//! | file | idea |
//! |---|---|
//! | `failures` | what is logged of attempts that fail |
//! | `span` | the span round each run of a handler |
//! | `metrics` | what is counted and measured |
//! | `observer` | the application's own hooks |
//! | `run` | one run of a handler, with all three |

mod failures;
pub mod metrics;
mod observer;
mod run;
mod span;

pub(crate) use failures::{Failure, FailureLog};
pub(crate) use observer::Observers;
pub use observer::{EndedRun, Observer};
pub(crate) use run::{Observe, Run, Watched};

pub use crate::fate::Fate;
