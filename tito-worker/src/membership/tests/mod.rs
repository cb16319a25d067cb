#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

mod damage;
mod facts;
mod seeds;
mod support;
mod task;
