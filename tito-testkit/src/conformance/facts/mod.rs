//! The facts. Each opens a database of its own and panics if the engine is wrong.
//!
//! They interleave transactions in one task, so an engine must not let one transaction's call wait for another
//! transaction's end.

#![allow(clippy::unwrap_used, clippy::panic, reason = "these are tests: a panic is how they fail")]

pub mod snapshots;
pub mod own_writes;
pub mod conflicts;
pub mod inserts;
pub mod locks;
pub mod replay;
pub mod outcomes;
pub mod endings;
pub mod cancellation;
pub mod limits;
pub mod timestamps;
pub mod storage;
pub mod concurrency;
pub mod histories;
