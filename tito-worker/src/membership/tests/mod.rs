#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, missing_docs)]

mod damage;
mod facts;
mod seeds;
pub(crate) mod support;
mod task;
