//! Events of the outbox for those of a store.
//!
//! | file | idea |
//! |---|---|
//! | `rule` | which events, to which topic, and as what |
//! | `publish` | an event of the outbox for one of a store |
//! | `catch_up` | what was appended before there was a rule |

mod catch_up;
mod publish;
mod rule;

pub(crate) use catch_up::catch_up;
pub(crate) use publish::{Shown, publish};
pub(crate) use rule::Rule;
pub use rule::{Republish, RepublishInfo};
