//! Rust types whose values become events, however they came to be registered.

use std::marker::PhantomData;

use crate::data::{CodecOf, EventData, EventType};
use tito_core::BoxError;

/// How values of a Rust type are named, written, read and validated.
pub(super) trait DataType<T>: Send + Sync {
    fn event_types(&self) -> Vec<EventType>;
    fn event_type(&self, value: &T) -> EventType;
    fn encode(&self, value: &T) -> Result<Vec<u8>, BoxError>;
    fn decode(&self, event_type: &str, bytes: &[u8]) -> Result<T, BoxError>;
    fn validate(&self, value: &T) -> Result<(), BoxError>;
}

/// A type that says all of it by itself.
pub(super) struct OwnType;

impl<T: EventData> DataType<T> for OwnType {
    fn event_types(&self) -> Vec<EventType> {
        T::EVENT_TYPES.to_vec()
    }

    fn event_type(&self, value: &T) -> EventType {
        value.event_type()
    }

    fn encode(&self, value: &T) -> Result<Vec<u8>, BoxError> {
        value.encode()
    }

    fn decode(&self, event_type: &str, bytes: &[u8]) -> Result<T, BoxError> {
        T::decode(event_type, bytes)
    }

    fn validate(&self, value: &T) -> Result<(), BoxError> {
        value.validate()
    }
}

type Rule<T> = Box<dyn Fn(&T) -> Result<(), BoxError> + Send + Sync>;

/// A type that knows nothing of events, such as one of another crate, as one event type of a
/// [`Registry`](super::Registry).
///
/// ```
/// use std::net::IpAddr;
/// use tito_eventstore::types::{ForeignType, Json, Registry};
///
/// let seen = ForeignType::<Json, IpAddr>::new("address-seen", [10, 0, 0, 7].into())
///     .version(2)
///     .validate(|address| if address.is_unspecified() { Err("no address".into()) } else { Ok(()) });
/// let registry = Registry::builder().foreign(seen).build()?;
/// # Ok::<(), tito_eventstore::EventStoreError>(())
/// ```
#[must_use]
pub struct ForeignType<C, T> {
    pub(super) event_type: EventType,
    pub(super) sample: Option<T>,
    rule: Option<Rule<T>>,
    codec: PhantomData<fn() -> C>,
}

impl<C: CodecOf<T>, T> ForeignType<C, T> {
    /// The event type with this name, whose data is written by a codec. Registering it uses the sample to check that
    /// values can be written and read back; the more fields differ from their defaults, the more is checked.
    pub fn new(name: &'static str, sample: T) -> Self {
        let event_type = EventType { name, version: 1, codec: C::CODEC };
        Self { event_type, sample: Some(sample), rule: None, codec: PhantomData }
    }

    /// The version in which the program writes it. Default: 1.
    pub fn version(mut self, version: u32) -> Self {
        self.event_type.version = version;
        self
    }

    /// What must hold for a value that is appended. For a type that implements [`Validator`](super::Validator):
    /// `.validate(Validator::validate)`.
    pub fn validate(mut self, rule: impl Fn(&T) -> Result<(), BoxError> + Send + Sync + 'static) -> Self {
        self.rule = Some(Box::new(rule));
        self
    }
}

impl<C: CodecOf<T>, T: Send + Sync> DataType<T> for ForeignType<C, T> {
    fn event_types(&self) -> Vec<EventType> {
        vec![self.event_type]
    }

    fn event_type(&self, _: &T) -> EventType {
        self.event_type
    }

    fn encode(&self, value: &T) -> Result<Vec<u8>, BoxError> {
        C::encode(value)
    }

    fn decode(&self, _: &str, bytes: &[u8]) -> Result<T, BoxError> {
        C::decode(bytes)
    }

    fn validate(&self, value: &T) -> Result<(), BoxError> {
        self.rule.as_ref().map_or(Ok(()), |rule| rule(value))
    }
}

impl<C, T> std::fmt::Debug for ForeignType<C, T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ForeignType").field("event_type", &self.event_type).finish_non_exhaustive()
    }
}
