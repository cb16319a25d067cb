//! What data of events is: the types that are written, and by which codecs.

mod codec;
#[cfg(feature = "derive")]
pub(crate) mod derived;
mod event_data;
mod markers;
mod validator;

pub use codec::{Codec, CodecOf};
pub use event_data::{EventData, EventType};
#[cfg(feature = "messagepack")]
pub use markers::MessagePack;
#[cfg(feature = "protobuf")]
pub use markers::Protobuf;
pub use markers::{Binary, BinaryData, Json};
pub use validator::Validator;
