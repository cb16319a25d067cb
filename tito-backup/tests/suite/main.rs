//! What backups promise, on every engine.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, unreachable_pub)]

#[macro_use]
extern crate tito_testkit;

mod completely;
mod copying;
mod damaged;
mod killed;
mod load;
mod mending;
mod resting;
mod restoring;
mod slowly;
mod support;
#[cfg(feature = "tikv")]
mod tikv;
mod verifying;
