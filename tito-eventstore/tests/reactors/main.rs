//! What reactors promise, on every engine.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, missing_docs, unreachable_pub)]

#[macro_use]
extern crate tito_testkit;

mod beginning;
mod causing;
mod crash;
mod deaths;
mod erasing;
mod failing;
mod fleets;
mod lifecycle;
mod running;
mod support;
mod transactional;
mod unreadable;
