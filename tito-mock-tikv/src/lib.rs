//! An in-process TiKV cluster with its PD, for tests.

mod codec;
mod range;
mod storage;

#[allow(missing_docs, unreachable_pub, dead_code, clippy::all)]
mod proto;
