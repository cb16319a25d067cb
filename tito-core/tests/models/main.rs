//! What models promise, on every engine.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, unreachable_pub)]

#[macro_use]
extern crate tito_test_engines;

mod catalogue;
mod crud;
mod cursors;
mod damaged;
mod events;
mod floats;
mod hand_written;
mod inserting;
mod names;
mod old_indexes;
mod pages;
mod queries;
mod read_back;
mod refused;
mod reindex;
mod sequences;
mod stored;
mod support;
mod unique;
mod versions;
