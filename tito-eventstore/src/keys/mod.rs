//! The keys of event stores, beside those of the core that they use. `docs/format.md` specifies all of them.

mod log;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;

pub use log::*;
pub use tito_core::keys::{events_of_queue, parse_event};
