//! A transaction client for [TiKV](https://tikv.org).
// The machines are used by the client, which is to come.
#![allow(dead_code)]

mod error;
mod outcome;
mod protocol;
mod timestamp;

pub use error::{Error, Key, PdFailure, Result};
pub use outcome::{CommitError, Outcome, Reason};
pub use timestamp::Timestamp;
