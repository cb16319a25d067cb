//! Events: as they are given to a store, and as they are read from it.

mod encoding;
pub mod metadata;
mod new;
mod stored;

pub(crate) use encoding::{Damage, Fields, encode, placeholder, recorded};
pub use new::NewEvent;
pub(crate) use new::{Failure, Unencoded};
pub use stored::Event;
pub(crate) use stored::time_of_micros;
