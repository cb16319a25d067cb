//! Types whose values are the data of events.

use tito_core::BoxError;

use super::codec::Codec;

/// An event type as a program knows it.
///
/// ```
/// use tito_eventstore::TitoEventType;
/// use tito_eventstore::types::{Codec, EventData};
///
/// #[derive(TitoEventType)]
/// #[tito(version = 2)]
/// struct DoorOpened;
///
/// let [opened] = DoorOpened::EVENT_TYPES else { unreachable!() };
/// assert_eq!((opened.name, opened.version, opened.codec), ("door-opened", 2, Codec::Json));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EventType {
    /// Its name, one token.
    pub name: &'static str,
    /// The version in which the program writes it, from 1.
    pub version: u32,
    /// How its data is written.
    pub codec: Codec,
}

impl EventType {
    /// Whether data is in the version and codec in which the program writes this event type.
    pub(crate) fn check_form(&self, version: u32, codec: Codec) -> Result<(), String> {
        let expected = self.version;
        if version > expected {
            Err(format!("it has version {version}, newer than {expected}, which is what this program knows"))
        } else if version < expected {
            Err(format!("it has version {version}, expected {expected}, and there is no upcaster"))
        } else if codec != self.codec {
            Err(format!("it is written as {codec}, expected {}", self.codec))
        } else {
            Ok(())
        }
    }
}

/// A type whose values are the data of events: an enum each of whose variants is an event type, or a struct that is
/// one. `#[derive(TitoEventType)]` implements it for values that a codec writes; by hand it can be anything:
///
/// ```
/// use tito_core::BoxError;
/// use tito_eventstore::types::{Codec, EventData, EventType};
///
/// /// A lamp was switched: one byte says to what.
/// struct Switched(bool);
///
/// impl EventData for Switched {
///     const EVENT_TYPES: &'static [EventType] =
///         &[EventType { name: "switched", version: 1, codec: Codec::Binary }];
///
///     fn event_type(&self) -> EventType {
///         Self::EVENT_TYPES[0]
///     }
///
///     fn encode(&self) -> Result<Vec<u8>, BoxError> {
///         Ok(vec![self.0.into()])
///     }
///
///     fn decode(_: &str, data: &[u8]) -> Result<Self, BoxError> {
///         match data {
///             [0] => Ok(Self(false)),
///             [1] => Ok(Self(true)),
///             _ => Err("expected one byte, 0 or 1".into()),
///         }
///     }
///
///     fn samples() -> Vec<Self> {
///         vec![Self(true)]
///     }
/// }
/// ```
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

    /// A value of each event type, with which registering the type checks that it can be written and read back.
    fn samples() -> Vec<Self>;

    /// Whether the value may be appended. By default any value may.
    ///
    /// # Errors
    /// What is wrong with it.
    fn validate(&self) -> Result<(), BoxError> {
        Ok(())
    }
}
