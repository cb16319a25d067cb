//! The types of events: what they are called, in which version and how their data is written.

mod codec;
mod data;
mod registry;

pub use codec::{Codec, CodecOf};
pub use data::{EventData, EventType};
pub use registry::Registry;
