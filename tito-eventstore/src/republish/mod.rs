//! Events of the outbox for those of a store.
//!
//! | file | idea |
//! |---|---|
//! | `rule` | which events, to which topic, and as what |
//! | `publish` | an event of the outbox for one of a store |

mod publish;
mod rule;

pub(crate) use publish::{Shown, publish};
pub(crate) use rule::Rule;
pub use rule::{Republish, RepublishInfo};
