//! The facts. Each opens a database of its own and panics if the engine is wrong.
//!
//! They interleave transactions in one task, so on no engine may a call of one transaction wait for another transaction
//! to end.

#![allow(clippy::unwrap_used, clippy::panic, reason = "these are tests: a panic is how they fail")]

pub mod cancellation;
pub mod concurrency;
pub mod conflicts;
pub mod crowds;
pub mod endings;
pub mod histories;
pub mod inserts;
pub mod kept;
pub mod limits;
pub mod locks;
pub mod outcomes;
pub mod own_writes;
pub mod replay;
pub mod reserved;
pub mod signals;
pub mod snapshots;
pub mod storage;
pub mod timestamps;
