//! An in-process TiKV cluster with its PD, for tests.

mod codec;
mod range;

#[allow(missing_docs, unreachable_pub, dead_code, clippy::all)]
mod proto;
