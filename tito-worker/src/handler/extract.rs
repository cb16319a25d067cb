//! What an argument of a handler is.

use std::future::Future;

use tito_core::{BoxError, TitoError};

use super::context::Context;
use super::outcomes::HandlerResult;
use crate::outcome::Outcome;

/// A type that a handler can take as an argument. Implement it for anything that an application needs again and again.
///
/// ```
/// use tito_core::prelude::*;
/// use tito_worker::{Context, FromEvent, Rejection};
///
/// /// Who caused the event, by its header.
/// struct Actor(String);
///
/// impl<S: Send, J> FromEvent<S, J> for Actor {
///     async fn from_event(context: &mut Context<S>) -> Result<Self, Rejection> {
///         match context.event()?.headers.get("actor") {
///             Some(actor) => Ok(Self(actor.clone())),
///             None => Err(Rejection::dead_letter("nobody caused the event")),
///         }
///     }
/// }
///
/// async fn audit(Actor(actor): Actor, event: TitoEvent) -> Result<(), TitoError> {
///     println!("{actor}: {} {}", event.action, event.entity);
///     Ok(())
/// }
/// # fn example(queue: tito_worker::TitoQueue) -> tito_worker::Worker {
/// # tito_worker::Worker::builder(queue).subscribe("user", audit).build()
/// # }
/// ```
#[diagnostic::on_unimplemented(
    message = "a handler can't take a `{Self}`",
    note = "it takes a `TitoEvent`, `Payload<T>`, `Row<M>`, `State<S>`, `Transaction`, `Progress<T>`, `Database` or \
            `TitoQueue`; `State<S>` is what `with_state(state, handler)` gives it; a typed topic's payload is \
            `Payload<T>` of its own type with `#[derive(TitoJob)]`"
)]
pub trait FromEvent<S, J>: Sized + Send {
    /// Whether it needs the transaction that acknowledges the event, which makes a handler that takes it transactional.
    const IN_TRANSACTION: bool = false;

    /// How many of the arguments that make up this one look at the event: the last one gets the event itself instead of
    /// a copy.
    #[doc(hidden)]
    const READERS: usize = 1;

    /// Takes it from an event.
    ///
    /// # Errors
    /// What happens to the event instead of being handled.
    fn from_event(context: &mut Context<S>) -> impl Future<Output = Result<Self, Rejection>> + Send;
}

/// An argument that a batch handler can take in addition to its events: one that does not look at [the
/// event](Context::event), as there is no single one.
#[diagnostic::on_unimplemented(
    message = "a batch handler can't take a `{Self}`",
    note = "beside a `Vec<TitoEvent>`, which comes first, it takes a `Transaction`, `State<S>`, `Database` or `TitoQueue`"
)]
pub trait WithoutEvent {}

/// What happens to an event that can't be given to a handler.
#[derive(Debug)]
#[non_exhaustive]
pub enum Rejection {
    /// As if the handler had returned this.
    Outcome(Outcome),
    /// As if the handler had failed with this: the next attempt can succeed.
    Error(BoxError),
}

impl Rejection {
    /// For an event that no attempt can handle: it goes to the dead letters at once, for this reason.
    pub fn dead_letter(reason: impl Into<String>) -> Self {
        Self::Outcome(Outcome::DeadLetter(reason.into()))
    }

    pub(crate) fn into_handled(self) -> HandlerResult {
        match self {
            Self::Outcome(outcome) => Ok(outcome),
            Self::Error(error) => Err(error),
        }
    }
}

impl From<TitoError> for Rejection {
    fn from(error: TitoError) -> Self {
        Self::Error(error.into())
    }
}

/// Several arguments, taken from left to right.
macro_rules! tuples {
    ($(($($argument:ident),*);)*) => {$(
        impl<S: Send, J, $($argument: FromEvent<S, J>),*> FromEvent<S, J> for ($($argument,)*) {
            const IN_TRANSACTION: bool = false $(|| $argument::IN_TRANSACTION)*;
            const READERS: usize = 0 $(+ $argument::READERS)*;

            #[allow(non_snake_case, unused_variables, reason = "a value has the name of its type; there may be none")]
            async fn from_event(context: &mut Context<S>) -> Result<Self, Rejection> {
                context.later_readers += <Self as FromEvent<S, J>>::READERS;
                $(
                    context.later_readers -= $argument::READERS;
                    let $argument = $argument::from_event(context).await?;
                )*
                Ok(($($argument,)*))
            }
        }

        impl<$($argument: WithoutEvent),*> WithoutEvent for ($($argument,)*) {}
    )*};
}

tuples! {
    ();
    (A);
    (A, B);
    (A, B, C);
    (A, B, C, D);
    (A, B, C, D, E);
    (A, B, C, D, E, F);
}
