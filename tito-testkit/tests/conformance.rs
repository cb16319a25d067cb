//! The engines keep the contract.

use tito_testkit::conformance::{EmbeddedInMemory, EmbeddedOnDisk};

tito_testkit::conformance!(embedded_in_memory, EmbeddedInMemory);
tito_testkit::conformance!(embedded_on_disk, EmbeddedOnDisk);
#[cfg(feature = "tikv")]
tito_testkit::conformance!(tikv, tito_testkit::conformance::OnTiKV);
