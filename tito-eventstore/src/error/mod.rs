//! The one error type of this crate.

mod predicates;

use tito_core::{SharedError, TitoError};

use crate::data::Codec;
use crate::event::{Event, Failure};

/// The result of nearly everything in this crate.
pub type Result<T, E = EventStoreError> = std::result::Result<T, E>;

/// What went wrong, and whether trying again can help ([`EventStoreError::is_retryable`]).
///
/// Some errors that other event stores have can't occur here: a model that is not an evolver, and a
/// command for something that is not a decider or viewer, do not compile.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EventStoreError {
    /// The last sequence of an entity, or of a pattern, was not the one that an event expected. Nothing of the append
    /// was stored. Evolve the model that decided, and decide again.
    #[error("the last sequence of {pattern:?} is {actual}, event {event:?} expected {expected}; nothing was appended")]
    SequenceConflict {
        /// The id of the event.
        event: String,
        /// The entity, as `type.id`, or the pattern.
        pattern: String,
        /// What the event expected.
        expected: u64,
        /// What it is.
        actual: u64,
    },

    /// An event without an entity.
    #[error("an event must have an entity, `type.id`")]
    EventEntityRequired,

    /// An event made from the application's own bytes, but without any, in a store without a registry that could read
    /// that.
    #[error("an event {event_type:?} of {entity:?} must have data")]
    EventDataRequired {
        /// The event's entity.
        entity: String,
        /// Its type.
        event_type: String,
    },

    /// An event without a type.
    #[error("an event of {entity:?} has no event type")]
    EventTypeRequired {
        /// The event's entity.
        entity: String,
    },

    /// An entity that is not `type.id`, two tokens of 1 to 255 bytes without `.`, `*`, `>`, white space and control
    /// characters.
    #[error("entity {entity:?} is not `type.id`: {reason}")]
    EventEntityInvalid {
        /// The entity, cut after 255 characters.
        entity: String,
        /// The rule that it breaks, and the token that breaks it.
        reason: String,
    },

    /// An event type that is not one token.
    #[error("event type {event_type:?} can't be used: {reason}")]
    EventTypeInvalid {
        /// The event type, cut after 255 characters.
        event_type: String,
        /// The rule that it breaks.
        reason: String,
    },

    /// The id of an event that is empty, longer than 255 bytes, or has control characters.
    #[error("event id {id:?} can't be used: {reason}")]
    EventIdInvalid {
        /// The id, cut after 255 characters.
        id: String,
        /// The rule that it breaks.
        reason: String,
    },

    /// A different event of the store has the id: of another entity or type, or with other data. Time and metadata may
    /// differ, and in JSON and MessagePack the order of members. Nothing of the append was stored.
    #[error(
        "event id {id:?} is taken: event {}, {:?}, has another {differs} than what was to be appended, {:?}; nothing was appended",
        stored.sequence(), stored.subject(), appended.subject()
    )]
    EventIdTaken {
        /// The id.
        id: String,
        /// What differs: `"entity"`, `"type"` or `"data"`.
        differs: &'static str,
        /// The event that has the id; its sequence is 0 if both are of one append.
        stored: Box<Event>,
        /// The event that was to be appended. It has no sequence, which is 0.
        appended: Box<Event>,
    },

    /// An append of no events.
    #[error("there is no event to append")]
    NoEvents,

    /// A pattern of more than three tokens.
    #[error("pattern {pattern:?} has {tokens} tokens, expected at most three: `type.id.event_type`")]
    SubjectTooManyTokens {
        /// The pattern, cut after 255 characters.
        pattern: String,
        /// How many it has.
        tokens: usize,
    },

    /// A pattern with a token that is neither `*` nor one that an event can have.
    #[error("pattern {pattern:?} can't be used: {reason}")]
    PatternInvalid {
        /// The pattern, cut after 255 characters.
        pattern: String,
        /// The rule that it breaks, and the token that breaks it.
        reason: String,
    },

    /// A store without a name.
    #[error("an event store must have a name")]
    StoreNameRequired,

    /// A store that does not exist, or was deleted.
    #[error("there is no event store {name:?}")]
    StoreNotFound {
        /// The name that was looked for.
        name: String,
    },

    /// A store that is to be created but exists already.
    #[error("event store {name:?} exists already")]
    StoreExists {
        /// Its name.
        name: String,
    },

    /// An option of a store that this engine can't honour.
    #[error("event store {name:?} can't have {option}: {reason}")]
    OptionNotHonoured {
        /// The store.
        name: String,
        /// The option, as it was asked for.
        option: String,
        /// What the engine does instead.
        reason: String,
    },

    /// An event type that the registry does not have.
    #[error("event type {event_type:?} is not registered")]
    TypeNotRegistered {
        /// The event type, or the Rust type that has none.
        event_type: String,
    },

    /// A type that was refused when it was registered.
    #[error("event type {event_type:?} can't be registered: {reason}")]
    TypeInvalid {
        /// The event type.
        event_type: String,
        /// Why.
        reason: String,
        /// What the codec said.
        #[source]
        source: Option<SharedError>,
    },

    /// Data of an event that is not valid by its type's own rules.
    #[error("the data of an event {event_type:?} is not valid")]
    DataInvalid {
        /// The event type.
        event_type: String,
        /// What the validator said.
        #[source]
        source: SharedError,
    },

    /// A command that is not valid by its own rules.
    #[error("the command is not valid")]
    CommandInvalid {
        /// What the command's `validate` said.
        #[source]
        source: SharedError,
    },

    /// Data of an event that can't be written.
    #[error("the data of an event {event_type:?} can't be written as {codec}")]
    Encode {
        /// The event type.
        event_type: String,
        /// The codec of the type.
        codec: Codec,
        /// What the codec said.
        #[source]
        source: SharedError,
    },

    /// Data of a stored event that can't be read as what was asked for.
    #[error(
        "the data of event {sequence}, {event_type:?} of {entity:?} in version {version}, can't be read as {expected}"
    )]
    Decode {
        /// The event's sequence.
        sequence: u64,
        /// Its type.
        event_type: String,
        /// Its entity.
        entity: String,
        /// The version of its type.
        version: u32,
        /// What was expected.
        expected: String,
        /// What the codec said.
        #[source]
        source: SharedError,
    },

    /// An evolver failed. What it folded before stays folded.
    #[error("the model can't evolve by event {sequence}, {event_type:?} of {entity:?}")]
    Evolver {
        /// The event's sequence.
        sequence: u64,
        /// Its type.
        event_type: String,
        /// Its entity.
        entity: String,
        /// What the evolver said.
        #[source]
        source: SharedError,
    },

    /// A command has the id of another one that was decided before: of another type, or, if the types are equal, with
    /// another [`content`](crate::Command::content). Nothing was appended.
    #[error(
        "command id {id:?} is taken: it first came as {first:?}, and now comes as {again:?}{}",
        if first == again { " with another content" } else { "" }
    )]
    CommandIdTaken {
        /// The id.
        id: String,
        /// The type of the earlier command.
        first: Option<String>,
        /// The type of this one.
        again: Option<String>,
    },

    /// A decider refused a command. Nothing was appended.
    #[error("the command was refused")]
    Decider {
        /// What the decider said.
        #[source]
        source: SharedError,
    },

    /// The store's limits have dropped events that a model with snapshots needs, and no snapshot of the model covers
    /// them. Nothing was folded, unless they were dropped meanwhile. [`Select::kept`](crate::Select::kept) begins with
    /// what is kept.
    #[error(
        "{model:?} can't be folded from all events of {selection:?}: some of those up to {dropped} were dropped, and \
         it has no snapshot that covers them"
    )]
    EventsDropped {
        /// The model's name.
        model: String,
        /// The patterns that are selected.
        selection: String,
        /// The last sequence that may have been dropped.
        dropped: u64,
    },

    /// A snapshot that can't be written or read.
    #[error("the snapshot of {model:?} can't be {operation}")]
    Snapshot {
        /// The model's name.
        model: String,
        /// What was being done.
        operation: &'static str,
        /// What the model said.
        #[source]
        source: SharedError,
    },

    /// A projection that the store does not have.
    #[error("event store {store:?} has no projection {projection:?}")]
    ProjectionNotFound {
        /// The store.
        store: String,
        /// The name that was looked for.
        projection: String,
    },

    /// A reactor that the store does not have.
    #[error("event store {store:?} has no reactor {reactor:?}")]
    ReactorNotFound {
        /// The store.
        store: String,
        /// The name that was looked for.
        reactor: String,
    },

    /// A projector failed. Nothing of this event or of any later one is in the rows.
    #[error("projection {projection:?} is stopped by event {sequence}, {event_type:?} of {entity:?}")]
    Projector {
        /// The projection.
        projection: String,
        /// The event's sequence.
        sequence: u64,
        /// Its type.
        event_type: String,
        /// Its entity.
        entity: String,
        /// What the projector said.
        #[source]
        source: SharedError,
    },

    /// The engine failed. All appends that shared a transaction get the same error.
    #[error("the engine failed: {0}")]
    Engine(#[source] TitoError),
}

impl From<TitoError> for EventStoreError {
    fn from(error: TitoError) -> Self {
        Self::Engine(error)
    }
}

impl From<EventStoreError> for TitoError {
    /// For transactions and handlers whose error is the engine's: the engine's own errors come out unchanged.
    fn from(error: EventStoreError) -> Self {
        match error {
            EventStoreError::Engine(error) => error,
            error => Self::application(error),
        }
    }
}

impl From<Failure> for EventStoreError {
    fn from(failure: Failure) -> Self {
        let Failure { event_type, codec, reason } = failure;
        match codec {
            Some(codec) => Self::Encode { event_type, codec, source: reason.into() },
            None => Self::DataInvalid { event_type, source: reason.into() },
        }
    }
}
