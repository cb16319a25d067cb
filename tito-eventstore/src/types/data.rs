//! Types whose values are the data of events.

use tito_core::BoxError;

use super::codec::Codec;

/// An event type as a program knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EventType {
    /// Its name, one token.
    pub name: &'static str,
    /// The version in which the program writes it, from 1.
    pub version: u32,
    /// How its data is written.
    pub codec: Codec,
}

/// A type whose values are the data of events: an enum of which each variant is an event type, or a struct that is one.
/// `#[derive(TitoEvent)]` implements it.
pub trait EventData: Send + Sync + Sized + 'static {
    /// All event types that values of this type have.
    const EVENT_TYPES: &'static [EventType];

    /// The event type of this value.
    fn event_type(&self) -> EventType;

    /// The data of an event with this value.
    ///
    /// # Errors
    /// Those of the codec.
    fn encode(&self) -> Result<Vec<u8>, BoxError>;

    /// The value of an event of one of [`EVENT_TYPES`](EventData::EVENT_TYPES), by its name.
    ///
    /// # Errors
    /// Those of the codec, and another name.
    fn decode(event_type: &str, data: &[u8]) -> Result<Self, BoxError>;

    /// A value of each event type, by which registering the type checks that it can be written and read back.
    fn samples() -> Vec<Self>;

    /// Whether the value may be appended. Anything may, unless the type says otherwise.
    ///
    /// # Errors
    /// What is wrong with it.
    fn validate(&self) -> Result<(), BoxError> {
        Ok(())
    }
}
