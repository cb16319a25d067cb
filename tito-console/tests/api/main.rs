//! The API as its users meet it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "that is how a test fails")]

mod access;
#[cfg(unix)]
mod local;
mod looking;
mod loopback;
mod support;
