//! Publishers and workers on an in-process cluster in trouble, and what their transactions cost in calls.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, unreachable_pub)]

// What is shared with the suite of the core calls the testkit so.
extern crate tito_testkit as tito_test_engines;

mod cancellation;
mod costs;
mod crashes;
mod late;
mod pessimistic;
#[path = "../../../tito-core/tests/tikv/support.rs"]
mod support;
