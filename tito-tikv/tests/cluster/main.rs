//! The client on a cluster in the process.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]
mod bank;
mod basics;
mod faults;
mod guards;
mod locks;
mod look_ups;
mod pairs;
mod reported;
mod round_trips;
mod servers;
mod support;
