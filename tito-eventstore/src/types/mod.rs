//! The types of events: what they are called, in which version and how their data is written.
//!
//! `#[derive(TitoEventType)]` makes event types of an enum or a struct. A [`Registry`] knows those of a program, whether
//! derived or [foreign](ForeignType), lets stores append nothing else, and brings old events to the present version.

mod builder;
mod codec;
mod data;
mod data_type;
#[cfg(feature = "derive")]
pub(crate) mod derived;
mod markers;
mod registry;
#[cfg(test)]
mod tests;
mod upcast;
mod validator;

pub use builder::RegistryBuilder;
pub use codec::{Codec, CodecOf};
pub use data::{EventData, EventType};
pub use data_type::ForeignType;
#[cfg(feature = "messagepack")]
pub use markers::MessagePack;
#[cfg(feature = "protobuf")]
pub use markers::Protobuf;
pub use markers::{Binary, BinaryData, Json};
pub use registry::Registry;
pub use validator::Validator;
