//! A command with what is known about it.

use std::collections::BTreeMap;

use chrono::{DateTime, SecondsFormat, Utc};

use crate::event::{NewEvent, metadata};

/// A command with what is known about it: its id, when and by whom it was given, what it belongs to. All of it goes
/// into the metadata of its events, under the names of [`metadata`].
///
/// A command with an id is decided once: whenever it comes again, the answer is what it appended the first time, for as
/// long as the store has the last of these events. A command that was refused, or led to no event, leaves no trace and
/// is decided again. Another command with the id, as [`content`](crate::Command::content) tells, is an error.
///
/// ```
/// # use tito_core::{BoxError, prelude::*};
/// # use tito_eventstore::{Command, Decider, Envelope, EventStore, EventStoreError, Model, NewEvent};
/// # struct Open;
/// # impl Command for Open {}
/// # struct Account;
/// # impl Decider<Open> for Account {
/// #     fn decide(&self, _: &Open) -> Result<Vec<NewEvent>, BoxError> { Ok(Vec::new()) }
/// # }
/// # async fn example(bank: EventStore, account: Model<Account>) -> Result<(), EventStoreError> {
/// let open = Envelope::new(Open).id("request-4711").asked_by("ada").correlation("signup-17");
/// let decision = bank.decide(&account, &open).await?;
/// // The request was sent twice: nothing happens twice.
/// let again = bank.decide(&account, &open).await?;
/// assert!(again.is_repeated() || decision.is_empty());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[must_use]
pub struct Envelope<C> {
    /// The command.
    pub command: C,
    /// Its id, 1 to 255 bytes, unique within a store.
    pub id: Option<String>,
    /// When it was given.
    pub time: Option<DateTime<Utc>>,
    /// What it is called.
    pub command_type: Option<String>,
    /// Texts beside it.
    pub metadata: BTreeMap<String, String>,
}

/// A command as bytes, which the [`Registry`](crate::types::Registry) of a store decodes by the type of its envelope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawCommand(pub(crate) Vec<u8>);

impl<C> Envelope<C> {
    /// A command with nothing else yet.
    pub fn new(command: C) -> Self {
        Self { command, id: None, time: None, command_type: None, metadata: BTreeMap::new() }
    }

    /// Its id: see [`Envelope`].
    pub fn id(mut self, id: impl Into<String>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// When it was given.
    pub fn time(mut self, time: DateTime<Utc>) -> Self {
        self.time = Some(time);
        self
    }

    /// What it is called. The same id with another type is an error.
    pub fn command_type(mut self, command_type: impl Into<String>) -> Self {
        self.command_type = Some(command_type.into());
        self
    }

    /// A text for the metadata of its events, unless they have one with that name.
    pub fn metadata(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.metadata.insert(name.into(), value.into());
        self
    }

    /// What it belongs to, such as a request or a process of several steps. Default: its own id.
    pub fn correlation(self, id: impl Into<String>) -> Self {
        self.metadata(metadata::CORRELATION_ID, id)
    }

    /// Who asked for it.
    pub fn asked_by(self, who: impl Into<String>) -> Self {
        self.metadata(metadata::ASKED_BY, who)
    }

    /// The envelope with another command in it.
    pub(crate) fn with<D>(&self, command: D) -> Envelope<D> {
        let Self { id, time, command_type, metadata, .. } = self;
        Envelope {
            command,
            id: id.clone(),
            time: *time,
            command_type: command_type.clone(),
            metadata: metadata.clone(),
        }
    }

    /// Copies what is beside the command into an event.
    pub(crate) fn stamp(&self, mut event: NewEvent) -> NewEvent {
        for (name, value) in &self.metadata {
            event.metadata.entry(name.clone()).or_insert_with(|| value.clone());
        }
        if let Some(id) = &self.id {
            event.metadata.entry(metadata::CORRELATION_ID.to_string()).or_insert_with(|| id.clone());
        }
        let time = self.time.map(|time| time.to_rfc3339_opts(SecondsFormat::AutoSi, true));
        let own = [
            (metadata::CAUSATION_ID, self.id.clone()),
            (metadata::COMMAND_TYPE, self.command_type.clone()),
            (metadata::COMMAND_TIME, time),
        ];
        for (name, value) in own {
            if let Some(value) = value {
                event.metadata.insert(name.to_string(), value);
            }
        }
        event
    }
}

impl Envelope<RawCommand> {
    /// A command as bytes, by the name of a type that the store's registry has as a
    /// [command](crate::types::RegistryBuilder::command).
    pub fn raw(command_type: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Self {
        Self::new(RawCommand(bytes.into())).command_type(command_type)
    }
}
