//! Events: as they are given to a store, and as they come out of it.

mod encoding;
pub mod metadata;
mod new;
mod stored;

pub(crate) use encoding::{Damage, Fields, encode};
pub use new::NewEvent;
pub(crate) use new::{Failure, Unencoded};
pub use stored::Event;
