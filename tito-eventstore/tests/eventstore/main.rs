//! What event stores promise, on every engine.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, unreachable_pub)]

#[macro_use]
extern crate tito_testkit;

mod appending;
mod asking;
mod closing;
mod commanding;
mod crowds;
mod damaged;
mod deciding;
#[cfg(all(feature = "derive", feature = "messagepack", feature = "protobuf"))]
mod derive;
mod erasing;
mod expecting;
mod floats;
mod folding;
mod keeping;
mod later_versions;
mod managing;
mod naming;
mod patterns;
mod reading;
#[cfg(feature = "derive")]
mod refusing;
mod republishing;
mod runtimes;
mod snapshots;
mod support;
mod unreadable;
mod versions;
mod watching;
mod writers;
