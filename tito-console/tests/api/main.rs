//! The API as its users meet it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "that is how a test fails")]

mod access;
mod looking;
mod support;
