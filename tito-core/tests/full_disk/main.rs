//! What becomes of a database while a real file system has no space.
#![cfg(target_os = "linux")]
#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::panic, missing_docs, unreachable_pub)]

mod disk;
mod engine;
