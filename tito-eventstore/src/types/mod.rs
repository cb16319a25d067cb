//! The types of events: what they are called, in which version and how their data is written.
//!
//! `#[derive(TitoEventType)]` derives event types from an enum or a struct. A [`Registry`] knows those of a program,
//! whether derived or [foreign](ForeignType), lets stores append nothing else, and upgrades old events to the current
//! version.

mod builder;
mod data_type;
mod read;
mod registry;
#[cfg(test)]
mod tests;
mod upcast;

#[cfg(feature = "messagepack")]
pub use crate::data::MessagePack;
#[cfg(feature = "protobuf")]
pub use crate::data::Protobuf;
pub use crate::data::{Binary, BinaryData, Codec, CodecOf, EventData, EventType, Json, Validator};
pub use builder::RegistryBuilder;
pub use data_type::ForeignType;
pub use registry::Registry;
