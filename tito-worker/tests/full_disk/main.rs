//! What becomes of workers while a real file system has no space.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, missing_docs, unreachable_pub)]

#[path = "../../../tito-core/tests/full_disk/disk.rs"]
mod disk;
mod workers;
