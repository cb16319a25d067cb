//! The client on a cluster in the process.
#![allow(clippy::unwrap_used, clippy::panic)]
mod bank;
mod basics;
mod faults;
mod guards;
mod locks;
mod look_ups;
mod round_trips;
mod support;
