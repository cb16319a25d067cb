//! Builds registries, and refuses types that could not be read back.

use std::any::{TypeId, type_name};
use std::fmt;
use std::sync::Arc;

use tito_core::BoxError;

use super::data_type::{DataType, ForeignType, OwnType};
use super::registry::{Check, Inner, Registered, Registry};
use super::upcast::{self, Upcaster};
use crate::data::{CodecOf, EventData, EventType};
use crate::domain::Command;
use crate::error::{EventStoreError, Result};
use crate::token;

/// Builds a [`Registry`]. [`build`](RegistryBuilder::build) reports anything that is wrong.
///
/// ```
/// use tito_eventstore::types::{Json, Registry};
/// use tito_eventstore::EventStoreError;
///
/// let twice = Registry::builder().register::<Json, u64>("counted", 17).register::<Json, u32>("counted", 17).build();
/// assert!(matches!(twice, Err(EventStoreError::TypeInvalid { .. })));
/// ```
#[derive(Default)]
#[must_use]
pub struct RegistryBuilder {
    inner: Inner,
    upcasters: Vec<Upcaster>,
    /// The first mistake.
    mistake: Option<EventStoreError>,
}

impl RegistryBuilder {
    /// Registers a type that implements [`EventData`], with all event types that it has.
    ///
    /// ```
    /// use tito_eventstore::TitoEventType;
    /// use tito_eventstore::types::Registry;
    ///
    /// #[derive(TitoEventType)]
    /// enum DoorEvent {
    ///     Opened,
    ///     Closed,
    /// }
    ///
    /// let registry = Registry::builder().event::<DoorEvent>().build()?;
    /// # Ok::<(), tito_eventstore::EventStoreError>(())
    /// ```
    pub fn event<T: EventData>(self) -> Self {
        self.add(OwnType, T::samples())
    }

    /// Registers a type that knows nothing of events as one event type of version 1. For other versions and validation
    /// see [`foreign`](RegistryBuilder::foreign).
    ///
    /// ```
    /// use tito_eventstore::types::{Binary, Json, Registry};
    ///
    /// let registry = Registry::builder()
    ///     .register::<Json, Vec<u64>>("measured", vec![1, 2])
    ///     .register::<Binary, String>("said", "hello".to_string())
    ///     .build()?;
    /// # Ok::<(), tito_eventstore::EventStoreError>(())
    /// ```
    pub fn register<C: CodecOf<T> + 'static, T: Send + Sync + 'static>(self, name: &'static str, sample: T) -> Self {
        self.foreign(ForeignType::<C, T>::new(name, sample))
    }

    /// Registers a type that knows nothing of events.
    ///
    /// ```
    /// use tito_eventstore::types::{ForeignType, Json, Registry};
    ///
    /// let counted = ForeignType::<Json, u64>::new("counted", 17).version(2);
    /// let registry = Registry::builder().foreign(counted).build()?;
    /// # Ok::<(), tito_eventstore::EventStoreError>(())
    /// ```
    pub fn foreign<C: CodecOf<T> + 'static, T: Send + Sync + 'static>(self, mut foreign: ForeignType<C, T>) -> Self {
        let samples = foreign.sample.take().into_iter().collect();
        self.add(foreign, samples)
    }

    /// Registers a type of commands that arrive as bytes, [`Envelope::raw`](crate::Envelope::raw), by the names that
    /// its values have as [`EventData`]. They are not event types, and may share their names.
    ///
    /// ```
    /// use tito_eventstore::types::Registry;
    /// use tito_eventstore::{Command, TitoEventType};
    ///
    /// #[derive(TitoEventType)]
    /// enum DoorCommand {
    ///     Open,
    ///     Close,
    /// }
    ///
    /// impl Command for DoorCommand {}
    ///
    /// let registry = Registry::builder().command::<DoorCommand>().build()?;
    /// # Ok::<(), tito_eventstore::EventStoreError>(())
    /// ```
    pub fn command<C: EventData + Command>(mut self) -> Self {
        let data_type: Arc<dyn DataType<C>> = Arc::new(OwnType);
        let mistake = C::samples().iter().find_map(|sample| round_trip(&*data_type, sample).err());
        self.inner.command_types.insert(TypeId::of::<C>(), Box::new(data_type));
        self.mistake = self.mistake.or(mistake);
        self
    }

    /// How to convert data of an event type from version `from` to the next version. Events are upgraded to the current
    /// version step by step when they are read; what is stored stays as it is.
    ///
    /// ```
    /// use tito_eventstore::types::{Binary, ForeignType, Registry};
    ///
    /// let said = ForeignType::<Binary, String>::new("said", "hello".to_string()).version(2);
    /// let registry = Registry::builder()
    ///     .foreign(said)
    ///     // The first version ended each text with a zero.
    ///     .upcast("said", 1, |bytes| Ok(bytes.strip_suffix(&[0]).ok_or("no zero at the end")?.to_vec()))
    ///     .build()?;
    /// # Ok::<(), tito_eventstore::EventStoreError>(())
    /// ```
    pub fn upcast(
        mut self,
        event_type: impl Into<String>,
        from: u32,
        step: impl Fn(&[u8]) -> Result<Vec<u8>, BoxError> + Send + Sync + 'static,
    ) -> Self {
        let step = Box::new(step);
        self.upcasters.push(Upcaster { event_type: event_type.into(), from, json: false, step });
        self
    }

    /// Like [`upcast`](RegistryBuilder::upcast), for data that is JSON in both versions.
    ///
    /// ```
    /// use tito_eventstore::types::{ForeignType, Json, Registry};
    ///
    /// let registry = Registry::builder()
    ///     .foreign(ForeignType::<Json, u64>::new("paid-cents", 1_250).version(2))
    ///     .upcast_json("paid-cents", 1, |units| Ok((units.as_u64().ok_or("no number")? * 100).into()))
    ///     .build()?;
    /// # Ok::<(), tito_eventstore::EventStoreError>(())
    /// ```
    pub fn upcast_json(
        mut self,
        event_type: impl Into<String>,
        from: u32,
        step: impl Fn(serde_json::Value) -> Result<serde_json::Value, BoxError> + Send + Sync + 'static,
    ) -> Self {
        let step = upcast::json_step(step);
        self.upcasters.push(Upcaster { event_type: event_type.into(), from, json: true, step });
        self
    }

    /// The registry.
    ///
    /// # Errors
    /// [`EventStoreError::TypeInvalid`] for the first event type that can't be registered: its name is not a token, or
    /// is registered already, as is its Rust type; its version is 0; its sample is refused by its validator, or gives
    /// different bytes after being written and read back; its upcasters leave out a version, or lead past the current
    /// one. [`EventStoreError::TypeNotRegistered`] for upcasters of an event type that is not registered.
    pub fn build(mut self) -> Result<Registry> {
        if let Some(mistake) = self.mistake {
            return Err(mistake);
        }
        let types = &self.inner.types;
        let chains = upcast::chains(self.upcasters, |name| types.get(name).map(|registered| registered.event_type))?;
        self.inner.chains = chains;
        Ok(Registry::new(self.inner))
    }

    fn add<T: Send + Sync + 'static>(mut self, data_type: impl DataType<T> + 'static, samples: Vec<T>) -> Self {
        if self.mistake.is_none() {
            self.mistake = self.try_add(Arc::new(data_type), samples).err();
        }
        self
    }

    fn try_add<T: Send + Sync + 'static>(&mut self, data_type: Arc<dyn DataType<T>>, samples: Vec<T>) -> Result<()> {
        let rust_type = type_name::<T>();
        let event_types = data_type.event_types();
        let first = event_types.first().map_or(rust_type, |event_type| event_type.name);
        if self.inner.rust_types.contains_key(&TypeId::of::<T>()) {
            return Err(refused(first, format!("the type {rust_type} is registered already"), None));
        }
        let check: Check = {
            let data_type = data_type.clone();
            Arc::new(move |name, bytes| data_type.validate(&data_type.decode(name, bytes)?))
        };
        for event_type in event_types {
            let EventType { name, version, .. } = event_type;
            token::check(name).map_err(|reason| refused(name, reason, None))?;
            if version == 0 {
                return Err(refused(name, "its version is 0, but versions begin at 1".to_string(), None));
            }
            if !samples.iter().any(|sample| data_type.event_type(sample) == event_type) {
                return Err(refused(name, format!("{rust_type} has no sample of it"), None));
            }
            let registered = Registered { event_type, rust_type, check: check.clone() };
            if let Some(other) = self.inner.types.insert(name, registered) {
                return Err(refused(name, format!("the name is registered already, for {}", other.rust_type), None));
            }
        }
        for sample in &samples {
            let name = data_type.event_type(sample).name;
            if self.inner.types.get(name).is_none_or(|registered| registered.rust_type != rust_type) {
                return Err(refused(name, format!("{rust_type} has a sample of it, and no such event type"), None));
            }
            round_trip(&*data_type, sample)?;
        }
        self.inner.rust_types.insert(TypeId::of::<T>(), Box::new(data_type));
        Ok(())
    }
}

/// Whether a sample can be written and read back.
fn round_trip<T>(data_type: &dyn DataType<T>, sample: &T) -> Result<()> {
    let event_type = data_type.event_type(sample);
    let name = event_type.name;
    let because = |reason: &str| {
        let reason = reason.to_string();
        move |source| refused(name, reason, Some(source))
    };
    data_type.validate(sample).map_err(because("its validator refuses its sample"))?;
    let written = data_type.encode(sample).map_err(because("its sample can't be written"))?;
    let read = data_type.decode(name, &written).map_err(because("its sample can't be read back"))?;
    if data_type.event_type(&read) != event_type {
        let other = data_type.event_type(&read).name;
        return Err(refused(name, format!("its sample is read back as an event {other:?}"), None));
    }
    let again = data_type.encode(&read).map_err(because("its sample, read back, can't be written"))?;
    if again != written {
        let reason = "its sample is written in other bytes once it was read back".to_string();
        return Err(refused(name, reason, None));
    }
    Ok(())
}

fn refused(event_type: &str, reason: String, source: Option<BoxError>) -> EventStoreError {
    EventStoreError::TypeInvalid { event_type: token::cut(event_type), reason, source: source.map(Into::into) }
}

impl fmt::Debug for RegistryBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.inner.types.keys().collect();
        f.debug_struct("RegistryBuilder").field("names", &names).field("mistake", &self.mistake).finish_non_exhaustive()
    }
}
