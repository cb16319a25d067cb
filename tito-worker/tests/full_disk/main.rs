//! What becomes of workers while a real file system has no space.
#![cfg(target_os = "linux")]
#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::panic, missing_docs, unreachable_pub)]

#[path = "../../../tito-core/tests/full_disk/disk.rs"]
mod disk;
mod workers;
