//! The data of an event as a Rust type.

use std::any::type_name;

use tito_core::BoxError;

use crate::data::EventData;
use crate::error::{EventStoreError, Result};
use crate::event::{Event, NewEvent};

impl Event {
    /// Its data.
    ///
    /// # Errors
    /// [`EventStoreError::Decode`] if its type is not one of `T`'s, was written in another version for which there is
    /// no upcaster, or its bytes are not what they should be.
    pub fn data<T: EventData>(&self) -> Result<T> {
        let failed = |source: BoxError| EventStoreError::Decode {
            sequence: self.sequence(),
            event_type: self.event_type().to_string(),
            entity: self.entity().to_string(),
            version: self.version(),
            expected: type_name::<T>().to_string(),
            source: source.into(),
        };
        let Some(known) = T::EVENT_TYPES.iter().find(|known| known.name == self.event_type()) else {
            return Err(failed("the type has no such event".into()));
        };
        known.check_form(self.version(), self.codec()).map_err(|reason| failed(reason.into()))?;
        T::decode(self.event_type(), self.bytes()).map_err(failed)
    }
}

impl NewEvent {
    /// The data, read back.
    ///
    /// # Errors
    /// [`EventStoreError::Encode`] if it could not be written, [`EventStoreError::Decode`] if it is not of this type.
    pub fn data<T: EventData>(&self) -> Result<T> {
        let data = self.data.as_ref().map_err(|failure| EventStoreError::from(failure.clone()))?;
        let known = T::EVENT_TYPES.iter().any(|known| known.name == data.event_type && known.codec == data.codec);
        let decoded = if known { T::decode(&data.event_type, &data.bytes) } else { Err("another event type".into()) };
        decoded.map_err(|source| EventStoreError::Decode {
            sequence: 0,
            event_type: data.event_type.clone(),
            entity: self.entity.clone(),
            version: data.version,
            expected: type_name::<T>().to_string(),
            source: source.into(),
        })
    }
}
