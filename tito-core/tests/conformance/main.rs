//! The engines keep the contract.
#![allow(clippy::unwrap_used, missing_docs)]

#[cfg(feature = "tikv")]
mod pessimistic;

use tito_test_engines::conformance::{EmbeddedInMemory, EmbeddedOnDisk};

tito_test_engines::conformance!(in_memory, EmbeddedInMemory);
tito_test_engines::conformance!(on_disk, EmbeddedOnDisk);
#[cfg(feature = "tikv")]
tito_test_engines::conformance!(on_tikv, tito_test_engines::conformance::OnTiKV);
#[cfg(feature = "tikv")]
tito_test_engines::conformance!(on_tikv_pessimistically, pessimistic::Pessimistic);
