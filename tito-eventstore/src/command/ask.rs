//! The forms in which a store takes a command.

use tito_core::BoxError;

use crate::domain::{Command, Decider, Envelope, RawCommand};
use crate::error::{EventStoreError, Result};
use crate::event::NewEvent;
use crate::types::Registry;

/// What a store can be asked to decide: a command, an [`Envelope`] with one, or an envelope with the bytes of one.
/// Implemented only for these.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no command of this decider",
    label = "expected a command, or an `Envelope` of one"
)]
pub trait Ask<C: Command>: private::Sealed<C> {
    #[doc(hidden)]
    fn open(&self, types: Option<&Registry>) -> Result<Opened<'_, C>>;
}

mod private {
    pub trait Sealed<C> {}
}

/// A command as its decider sees it.
#[doc(hidden)]
pub enum Opened<'a, C> {
    Bare(&'a C),
    Enveloped(&'a Envelope<C>),
    /// With the bytes that it was decoded from.
    Decoded(Envelope<C>, &'a [u8]),
}

impl<C: Command> private::Sealed<C> for C {}
impl<C: Command> private::Sealed<C> for Envelope<C> {}
impl<C: Command> private::Sealed<C> for Envelope<RawCommand> {}

impl<C: Command> Ask<C> for C {
    fn open(&self, _: Option<&Registry>) -> Result<Opened<'_, C>> {
        Ok(Opened::Bare(self))
    }
}

impl<C: Command> Ask<C> for Envelope<C> {
    fn open(&self, _: Option<&Registry>) -> Result<Opened<'_, C>> {
        Ok(Opened::Enveloped(self))
    }
}

impl<C: Command + 'static> Ask<C> for Envelope<RawCommand> {
    fn open(&self, types: Option<&Registry>) -> Result<Opened<'_, C>> {
        let command_type = self.command_type.as_deref().unwrap_or_default();
        let Some(types) = types else {
            return Err(EventStoreError::TypeNotRegistered { event_type: command_type.to_string() });
        };
        let bytes = &self.command.0;
        Ok(Opened::Decoded(self.with(types.decode_command(command_type, bytes)?), bytes))
    }
}

impl<C: Command> Opened<'_, C> {
    pub(super) fn envelope(&self) -> Option<&Envelope<C>> {
        match self {
            Self::Bare(_) => None,
            Self::Enveloped(envelope) => Some(envelope),
            Self::Decoded(envelope, _) => Some(envelope),
        }
    }

    pub(super) fn validate(&self) -> Result<(), BoxError> {
        match self {
            Self::Bare(command) => command.validate(),
            Self::Enveloped(Envelope { command, .. }) | Self::Decoded(Envelope { command, .. }, _) => {
                command.validate()
            }
        }
    }

    /// What tells the command from others that come with its id. Members of JSON may come in any order.
    pub(super) fn content(&self) -> Option<Vec<u8>> {
        match self {
            Self::Bare(command) => command.content(),
            Self::Enveloped(Envelope { command, .. }) => command.content(),
            Self::Decoded(Envelope { command, .. }, bytes) => command.content().or_else(|| {
                let members = serde_json::from_slice::<serde_json::Value>(bytes).ok();
                Some(members.map_or_else(|| bytes.to_vec(), |members| members.to_string().into_bytes()))
            }),
        }
    }

    /// What a decider decides, given the rest of the envelope.
    pub(super) fn decide<D: Decider<C>>(&self, decider: &D) -> Result<Vec<NewEvent>, BoxError> {
        let envelope = match self {
            Self::Bare(command) => return decider.decide(command),
            Self::Enveloped(envelope) => envelope,
            Self::Decoded(envelope, _) => envelope,
        };
        let events = decider.decide_enveloped(envelope)?;
        Ok(events.into_iter().map(|event| envelope.stamp(event)).collect())
    }
}
