//! The event types that a program knows.

use std::any::{Any, TypeId, type_name};
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use tito_core::BoxError;

use super::builder::RegistryBuilder;
use super::data_type::DataType;
use super::upcast::Chain;
use crate::data::EventType;
use crate::error::{EventStoreError, Result};
use crate::event::{Event, NewEvent, Unencoded};

/// The event types that a program knows, each with its Rust type. A store with a registry appends only events of these
/// types, and upgrades old ones to the program's version when it reads them.
///
/// Cloning one is cheap. [`Registry::default`] knows no event type, so that nothing can be appended.
///
/// ```
/// use tito_eventstore::TitoEventType;
/// use tito_eventstore::types::Registry;
///
/// #[derive(TitoEventType)]
/// enum AccountEvent {
///     Opened { owner: String },
///     #[tito(version = 2)]
///     Deposited { cents: u64 },
/// }
///
/// let registry = Registry::builder()
///     .event::<AccountEvent>()
///     .upcast_json("deposited", 1, |mut value| {
///         // The first version counted in whole units.
///         let units = value["units"].as_u64().ok_or("no units")?;
///         value["cents"] = (units * 100).into();
///         Ok(value)
///     })
///     .build()?;
/// let names: Vec<_> = registry.event_types().iter().map(|known| known.name).collect();
/// assert_eq!(names, ["deposited", "opened"]);
/// # Ok::<(), tito_eventstore::EventStoreError>(())
/// ```
#[derive(Clone, Default)]
pub struct Registry {
    inner: Arc<Inner>,
}

#[derive(Default)]
pub(super) struct Inner {
    pub(super) types: HashMap<&'static str, Registered>,
    /// By Rust type, each an `Arc<dyn DataType<T>>`.
    pub(super) rust_types: HashMap<TypeId, Box<dyn Any + Send + Sync>>,
    /// The types of commands by Rust type, each an `Arc<dyn DataType<T>>`.
    pub(super) command_types: HashMap<TypeId, Box<dyn Any + Send + Sync>>,
    /// Of those event types that have any.
    pub(super) chains: HashMap<&'static str, Chain>,
}

/// An event type, whatever its Rust type.
pub(super) struct Registered {
    pub(super) event_type: EventType,
    pub(super) rust_type: &'static str,
    /// Whether bytes are a valid value.
    pub(super) check: Check,
}

pub(super) type Check = Arc<dyn Fn(&str, &[u8]) -> Result<(), BoxError> + Send + Sync>;

impl Registry {
    /// Begins a registry.
    ///
    /// ```
    /// use tito_eventstore::types::{Json, Registry};
    ///
    /// let registry = Registry::builder().register::<Json, u64>("counted", 17).build()?;
    /// # Ok::<(), tito_eventstore::EventStoreError>(())
    /// ```
    pub fn builder() -> RegistryBuilder {
        RegistryBuilder::default()
    }

    pub(super) fn new(inner: Inner) -> Self {
        Self { inner: Arc::new(inner) }
    }

    /// The event types, by name.
    ///
    /// ```
    /// use tito_eventstore::types::Registry;
    ///
    /// assert!(Registry::default().event_types().is_empty());
    /// ```
    pub fn event_types(&self) -> Vec<EventType> {
        let mut types: Vec<_> = self.inner.types.values().map(|registered| registered.event_type).collect();
        types.sort_unstable_by_key(|event_type| event_type.name);
        types
    }

    /// An event of an entity, `type.id`, with a value of a registered Rust type as its data. Types that implement
    /// [`EventData`](super::EventData) need no registry for it: [`NewEvent::new`].
    ///
    /// ```
    /// use tito_eventstore::types::{Json, Registry};
    ///
    /// let registry = Registry::builder().register::<Json, u64>("counted", 17).build()?;
    /// let event = registry.new_event("shelf.3", &250_u64)?;
    /// assert_eq!(event.event_type(), "counted");
    /// assert!(registry.new_event("shelf.3", &"text").is_err());
    /// # Ok::<(), tito_eventstore::EventStoreError>(())
    /// ```
    ///
    /// # Errors
    /// [`EventStoreError::TypeNotRegistered`], [`EventStoreError::DataInvalid`] by the type's validator,
    /// [`EventStoreError::Encode`].
    pub fn new_event<T: 'static>(&self, entity: impl Into<String>, value: &T) -> Result<NewEvent> {
        let data_type = self.data_type::<T>()?;
        let EventType { name, version, codec } = data_type.event_type(value);
        let event_type = name.to_string();
        if let Err(source) = data_type.validate(value) {
            return Err(EventStoreError::DataInvalid { event_type, source: source.into() });
        }
        let readable = |bytes: Vec<u8>| match data_type.decode(name, &bytes) {
            Ok(_) => Ok(bytes),
            Err(error) => Err(format!("once written, it can't be read: {error}").into()),
        };
        match data_type.encode(value).and_then(readable) {
            Ok(bytes) => {
                let of = Some(type_name::<T>());
                Ok(NewEvent::from_encoded(entity, Ok(Unencoded { event_type, version, codec, bytes, of })))
            }
            Err(source) => Err(EventStoreError::Encode { event_type, codec, source: source.into() }),
        }
    }

    /// The data of an event as a value of a registered Rust type. For types that implement
    /// [`EventData`](super::EventData) it is the same as [`Event::data`].
    ///
    /// ```
    /// use tito_eventstore::types::Registry;
    /// use tito_eventstore::{Event, Result};
    ///
    /// fn counted(registry: &Registry, event: &Event) -> Result<u64> {
    ///     registry.data(event)
    /// }
    /// ```
    ///
    /// # Errors
    /// [`EventStoreError::TypeNotRegistered`] for the Rust type, [`EventStoreError::Decode`] if the event is of another
    /// type or version, or its bytes are not what they should be.
    pub fn data<T: 'static>(&self, event: &Event) -> Result<T> {
        let data_type = self.data_type::<T>()?;
        let known = data_type.event_types().into_iter().find(|known| known.name == event.event_type());
        let decoded = match known {
            None => Err("the type has no such event".into()),
            Some(known) => known
                .check_form(event.version(), event.codec())
                .map_err(BoxError::from)
                .and_then(|()| data_type.decode(event.event_type(), event.bytes())),
        };
        decoded.map_err(|source| unreadable(event, type_name::<T>().to_string(), source))
    }

    fn data_type<T: 'static>(&self) -> Result<&Arc<dyn DataType<T>>> {
        let found = self.inner.rust_types.get(&TypeId::of::<T>()).and_then(|found| found.downcast_ref());
        found.ok_or_else(|| EventStoreError::TypeNotRegistered { event_type: type_name::<T>().to_string() })
    }

    /// Whether an event may be appended: its type is registered, its data was made from the Rust type registered for it
    /// and is in the form of it. Bytes of the application's own are read and validated.
    pub(crate) fn check(&self, new: &Unencoded) -> Result<()> {
        let event_type = || new.event_type.clone();
        let Some(registered) = self.inner.types.get(&*new.event_type) else {
            return Err(EventStoreError::TypeNotRegistered { event_type: event_type() });
        };
        let checked = match new.of {
            Some(rust_type) if rust_type != registered.rust_type => {
                let expected = registered.rust_type;
                Err(format!("it was made from {rust_type}, its event type is registered for {expected}").into())
            }
            of => registered.event_type.check_form(new.version, new.codec).map_err(BoxError::from).and_then(|()| {
                // What was made from the type itself was validated then.
                if of.is_some() { Ok(()) } else { (registered.check)(&new.event_type, &new.bytes) }
            }),
        };
        checked.map_err(|source| EventStoreError::DataInvalid { event_type: event_type(), source: source.into() })
    }

    /// The command of a Rust type whose bytes came under a name.
    pub(crate) fn decode_command<C: 'static>(&self, name: &str, bytes: &[u8]) -> Result<C> {
        let not_registered =
            |event_type: &str| EventStoreError::TypeNotRegistered { event_type: event_type.to_string() };
        let found = self.inner.command_types.get(&TypeId::of::<C>()).and_then(|found| found.downcast_ref());
        let data_type: &Arc<dyn DataType<C>> = found.ok_or_else(|| not_registered(type_name::<C>()))?;
        if !data_type.event_types().iter().any(|known| known.name == name) {
            return Err(not_registered(name));
        }
        let decoded = data_type.decode(name, bytes);
        let command = decoded.map_err(|error| format!("its bytes can't be read as {name:?}: {error}"));
        let valid = command.map_err(BoxError::from).and_then(|command| {
            data_type.validate(&command)?;
            Ok(command)
        });
        valid.map_err(|source| EventStoreError::CommandInvalid { source: source.into() })
    }

    /// Whether an event could be appended as it is: by its type, version and codec it is what the registry would read.
    /// The append checks the same.
    ///
    /// ```
    /// use tito_eventstore::NewEvent;
    /// use tito_eventstore::types::{Codec, Json, Registry};
    ///
    /// let registry = Registry::builder().register::<Json, u64>("counted", 17).build()?;
    /// let counted = |bytes: &str| NewEvent::encoded("shelf.3", "counted", 1, Codec::Json, bytes);
    /// assert!(registry.check_event(&counted("250")).is_ok());
    /// assert!(registry.check_event(&counted("many")).is_err());
    /// # Ok::<(), tito_eventstore::EventStoreError>(())
    /// ```
    ///
    /// # Errors
    /// [`EventStoreError::TypeNotRegistered`], [`EventStoreError::DataInvalid`], [`EventStoreError::Encode`].
    pub fn check_event(&self, event: &NewEvent) -> Result<()> {
        self.check(event.data.as_ref().map_err(|failure| failure.clone())?)
    }

    /// Whether an event that is stored is what the program reads: brought to the version that it knows, decoded, valid.
    pub(crate) fn check_stored(&self, event: &Event) -> Result<()> {
        let upcast = self.upcast(event)?;
        let event = upcast.as_ref().unwrap_or(event);
        let Some(registered) = self.inner.types.get(event.event_type()) else {
            return Err(EventStoreError::TypeNotRegistered { event_type: event.event_type().to_string() });
        };
        let form = registered.event_type.check_form(event.version(), event.codec()).map_err(BoxError::from);
        let checked = form.and_then(|()| (registered.check)(event.event_type(), event.bytes()));
        checked.map_err(|source| unreadable(event, registered.rust_type.to_string(), source))
    }

    /// The event in the version that the program knows, if that is another than its own. Events of types without
    /// upcasters, or older than the oldest of them, are as they were.
    pub(crate) fn upcast(&self, event: &Event) -> Result<Option<Event>> {
        if self.inner.chains.is_empty() { Ok(None) } else { self.upcast_by_chain(event) }
    }

    fn upcast_by_chain(&self, event: &Event) -> Result<Option<Event>> {
        let Some(registered) = self.inner.types.get(event.event_type()) else { return Ok(None) };
        let EventType { name, version, codec } = registered.event_type;
        let failed = |source| unreadable(event, format!("version {version}"), source);
        if event.version() > version {
            return Err(failed("the event is newer than what this program knows".into()));
        }
        match self.inner.chains.get(name) {
            Some(chain) if event.version() < version && chain.begins_before(event.version()) => {
                let bytes = chain.run(event.version(), event.bytes()).map_err(failed)?;
                Ok(Some(event.with_data(version, codec, &bytes)?))
            }
            _ => Ok(None),
        }
    }
}

fn unreadable(event: &Event, expected: String, source: BoxError) -> EventStoreError {
    EventStoreError::Decode {
        sequence: event.sequence(),
        event_type: event.event_type().to_string(),
        entity: event.entity().to_string(),
        version: event.version(),
        expected,
        source: source.into(),
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Registry").field(&self.event_types()).finish()
    }
}
