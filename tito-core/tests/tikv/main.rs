//! The TiKV engine in trouble, at its limits and counted, on an in-process cluster.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, unreachable_pub)]

mod apart;
mod atomicity;
mod crashes;
mod identity;
mod kept;
mod large;
mod late;
mod live_beside_dead;
mod maintenance;
mod outages;
mod outcomes;
mod pessimistic;
mod support;
mod tls;
mod unreachable;
