//! What the arguments of a handler are taken from.

use tito_core::event::TitoEvent;
use tito_core::{Database, Transaction};

use super::extract::Rejection;

/// An event on its way to a handler, or a batch of them: what a [`FromEvent`](crate::FromEvent) is extracted from.
pub struct Context<S = ()> {
    /// `None` for a batch, and once the last argument that looks at it was taken. Boxed, as it is moved several times
    /// on its way to the handler, and would make the handler's future large.
    event: Option<Box<TitoEvent>>,
    database: Database,
    transaction: Option<Transaction>,
    state: S,
    /// How many of the arguments after the one that is being taken look at the event.
    pub(super) later_readers: usize,
}

impl Context {
    pub(crate) fn new(event: Option<Box<TitoEvent>>, database: Database, transaction: Option<Transaction>) -> Self {
        Self { event, database, transaction, state: (), later_readers: 0 }
    }

    pub(super) fn with_state<S>(self, state: S) -> Context<S> {
        let Self { event, database, transaction, later_readers, .. } = self;
        Context { event, database, transaction, state, later_readers }
    }
}

impl<S> Context<S> {
    /// The event.
    ///
    /// # Errors
    /// There is no event: a batch handler has an argument that is wrongly marked [`WithoutEvent`](crate::WithoutEvent),
    /// or an argument looks at the event after taking a [`TitoEvent`] out. The attempt fails.
    pub fn event(&self) -> Result<&TitoEvent, Rejection> {
        self.event.as_deref().ok_or_else(|| {
            Rejection::Error("an argument looks at an event where there is none, or once it was taken out".into())
        })
    }

    /// The event itself for the last argument that looks at it, a copy for others.
    pub(super) fn take_event(&mut self) -> Result<TitoEvent, Rejection> {
        match self.event.take_if(|_| self.later_readers == 0) {
            Some(event) => Ok(*event),
            None => self.event().cloned(),
        }
    }

    /// The database of the worker.
    pub fn database(&self) -> &Database {
        &self.database
    }

    /// The transaction that acknowledges the event, if an argument of the handler is
    /// [`IN_TRANSACTION`](crate::FromEvent::IN_TRANSACTION).
    pub fn transaction(&self) -> Option<&Transaction> {
        self.transaction.as_ref()
    }

    /// What [`with_state`](crate::with_state) shares with the handler.
    pub fn state(&self) -> &S {
        &self.state
    }
}
