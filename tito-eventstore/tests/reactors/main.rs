//! What reactors promise, on every engine.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, unreachable_pub)]

#[macro_use]
extern crate tito_testkit;

mod beginning;
mod causing;
mod deaths;
mod erasing;
mod failing;
mod fleets;
mod lifecycle;
mod running;
mod support;
mod transactional;
mod unreadable;
