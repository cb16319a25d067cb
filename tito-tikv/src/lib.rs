#![doc = include_str!("../README.md")]

mod client;
mod error;
mod outcome;
mod pd;
mod protocol;
mod region;
mod store;
mod timestamp;
pub mod transport;

pub use client::{Builder, Client, Guarded, Guards, KeyValue, RegionInfo, Snapshot, Transaction};
pub use error::{Error, Key, PdFailure, Result};
pub use outcome::{CommitError, Outcome, Reason};
pub use timestamp::Timestamp;
