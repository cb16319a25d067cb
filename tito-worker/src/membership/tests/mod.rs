#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, missing_docs)]

mod damage;
mod facts;
mod seeds;
mod support;
mod task;
