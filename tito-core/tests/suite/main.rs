//! What the core promises that is not about every engine.
#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::panic, missing_docs)]

mod derive;
mod directories;
mod embedded;
mod filling;
mod floats;
#[cfg(feature = "embedded")]
mod format;
mod keys;
#[cfg(unix)]
mod other_directories;
mod reading;
mod trace;
mod whole_calls;
mod written_before;
