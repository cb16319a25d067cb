//! What an application brings: models that evolve by events, decide on commands and are viewed.

mod envelope;
mod snapshot;

use tito_core::BoxError;

pub use self::envelope::{Envelope, RawCommand};
pub use self::snapshot::Snapshot;
use crate::event::{Event, NewEvent};

/// A model that evolves by events.
///
/// ```
/// use tito_core::BoxError;
/// use tito_eventstore::{Event, Evolver};
///
/// /// How many events there were.
/// #[derive(Default)]
/// struct Count(u64);
///
/// impl Evolver for Count {
///     fn evolve(&mut self, _: &Event) -> Result<(), BoxError> {
///         self.0 += 1;
///         Ok(())
///     }
/// }
/// ```
pub trait Evolver {
    /// Folds one event into the model. Called with the events in the order of their sequences.
    ///
    /// # Errors
    /// Anything that keeps the model from evolving; it should then be as it was before.
    fn evolve(&mut self, event: &Event) -> Result<(), BoxError>;

    /// Whether the model has yet to evolve by an event of an entity, `type.id`, whose sequence is `previous` or less, and
    /// would then pass it over if it evolved by a later one. Such a later one, that it has decided on, is not handed to
    /// it at once: it comes with the others. A [`Model`](crate::Model) knows; others have seen everything.
    fn lacks(&self, entity: &str, previous: u64) -> bool {
        let _ = (entity, previous);
        false
    }

    /// The model as one that snapshots are taken of; of others none are.
    fn as_snapshot(&mut self) -> Option<&mut dyn Snapshot> {
        None
    }
}

/// A command: what somebody wants to happen.
pub trait Command {
    /// Whether the command makes sense by itself, whatever the state of the model. Checked before a decider sees it.
    ///
    /// # Errors
    /// What is wrong with it.
    fn validate(&self) -> Result<(), BoxError> {
        Ok(())
    }

    /// What the command says, to tell it from others: where it comes in an [`Envelope`] with the id of one that said
    /// something else, it is refused as [`CommandIdTaken`](crate::EventStoreError::CommandIdTaken), and not answered with
    /// what that one came to. Any bytes will do that are the same whenever the command comes again; a hash of them is
    /// stored. None, as without a word: commands of one type are not told apart. Of a
    /// [command as bytes](Envelope::raw) the bytes are taken then.
    ///
    /// ```
    /// # use tito_eventstore::Command;
    /// #[derive(serde::Serialize)]
    /// struct Withdraw {
    ///     account: String,
    ///     cents: u64,
    /// }
    ///
    /// impl Command for Withdraw {
    ///     fn content(&self) -> Option<Vec<u8>> {
    ///         serde_json::to_vec(self).ok()
    ///     }
    /// }
    /// ```
    fn content(&self) -> Option<Vec<u8>> {
        None
    }
}

/// A model that decides on commands of a type.
pub trait Decider<C: Command> {
    /// What happens because of the command: events to append, or none.
    ///
    /// # Errors
    /// Why the command is refused.
    fn decide(&self, command: &C) -> Result<Vec<NewEvent>, BoxError>;

    /// Like [`decide`](Decider::decide), for a command that comes in an envelope: for those whose decision depends on when
    /// or by whom it was given. What is beside the command goes into the events in any case.
    ///
    /// # Errors
    /// Why the command is refused.
    fn decide_enveloped(&self, envelope: &Envelope<C>) -> Result<Vec<NewEvent>, BoxError> {
        self.decide(&envelope.command)
    }
}

/// A model that decides on commands and evolves by what it decided. Every type that does both is one.
pub trait DeciderEvolver<C: Command>: Decider<C> + Evolver {}

impl<C: Command, T: Decider<C> + Evolver> DeciderEvolver<C> for T {}

/// A model that can be looked at in a form of its own.
pub trait Viewer {
    /// What is shown of it.
    type View;

    /// The model as it is.
    fn view(&self) -> Self::View;
}
