//! The program as a process: what it says, and how it ends.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, reason = "that is how a test fails")]

mod support;

mod closed;
mod confirming;
mod destroying;
mod files;
#[cfg(unix)]
mod guide;
mod hostile;
#[cfg(unix)]
mod interrupted;
mod keeping;
mod migrating;
mod operating;
mod pipes;
mod refused;
mod remote;
#[cfg(unix)]
mod running;
mod schedules;
#[cfg(unix)]
mod terminal;
#[cfg(feature = "tikv")]
mod tikv;
mod warnings;
