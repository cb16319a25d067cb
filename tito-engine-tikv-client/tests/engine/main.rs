//! The engine on the official client keeps the contract, beside Tito's own and alone.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, unreachable_pub)]

mod client_facts;
mod conformance;
mod support;

tito_test_engines::conformance!(on_tikv_client, conformance::OnTikvClient);
