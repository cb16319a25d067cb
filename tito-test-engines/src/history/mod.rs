//! Histories of concurrent transactions, and a checker for snapshot isolation.
//!
//! [`Workload`] runs generated transactions on an engine and records what they did and saw. [`check`] finds answers
//! that no snapshot-isolated engine can give.
//!
//! ```
//! # use tito_test_engines as tito_testkit;
//! use tito_testkit::history::{Workload, check};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), tito_core::TitoError> {
//! let db = tito_testkit::in_memory().await?;
//! let history = Workload::default().run(&db).await;
//! check(&history).unwrap();
//! # Ok(())
//! # }
//! ```

mod check;
mod workload;

pub use check::{Violation, check};
pub use workload::Workload;

use tito_core::Timestamp;

/// What one transaction did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its start timestamp.
    pub start: Timestamp,
    /// The latest commit timestamp that had been returned to any task before this transaction began.
    pub began_after: Timestamp,
    /// What it did, in order.
    pub steps: Vec<Step>,
    /// Its commit timestamp; `None` if it was not committed.
    pub commit: Option<Timestamp>,
}

/// One successful call. Keys and values are numbers, which is all that the checker needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// A key and the value read.
    Get(Key, Option<Value>),
    /// A scan of the keys from `start` to `end` (excluded).
    Scan {
        /// The first key of the range.
        start: Key,
        /// The first key past the range.
        end: Key,
        /// How many entries were requested.
        limit: usize,
        /// Whether it was descending.
        reverse: bool,
        /// The answer.
        found: Vec<(Key, Value)>,
    },
    /// A key and its new value.
    Put(Key, Value),
    /// A key that was deleted.
    Delete(Key),
    /// A key that was locked.
    Lock(Key),
}

/// A key of a history.
pub type Key = u8;

/// A value of a history. No two writes have the same one.
pub type Value = u64;
