//! What projections promise, on every engine.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, unreachable_pub)]

#[macro_use]
extern crate tito_testkit;

mod erasing;
mod failing;
mod faults;
mod folding;
mod later_versions;
mod lifecycle;
mod operating;
mod rebuilding;
mod support;
mod views;
