//! Clients of both kinds on one in-process cluster: Tito's own, and `tikv-client`, by the engines on them.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, unreachable_pub)]

mod beside;
mod counters;
mod killed;
mod support;
