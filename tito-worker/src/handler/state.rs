//! State that handlers share.

use super::Handler;
use super::boxed::BoxedHandler;
use super::context::Context;
use super::extract::{FromEvent, Rejection, WithoutEvent};

/// A clone of what [`with_state`] shares with the handler: a connection pool, a client, an `Arc` of anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct State<S>(pub S);

impl<S: Clone + Send, J> FromEvent<S, J> for State<S> {
    const READERS: usize = 0;

    async fn from_event(context: &mut Context<S>) -> Result<Self, Rejection> {
        Ok(Self(context.state().clone()))
    }
}

impl<S> WithoutEvent for State<S> {}

/// A handler that takes a [`State`], together with that state, which is cloned for each run. To share several things,
/// use a tuple or a struct.
///
/// ```
/// use std::sync::Arc;
/// use tito_core::prelude::*;
/// use tito_worker::prelude::*;
/// use tito_worker::{State, with_state};
///
/// struct Mailer;
///
/// # fn example(queue: TitoQueue) -> Worker {
/// async fn send(State(mailer): State<Arc<Mailer>>, event: TitoEvent) -> Result<(), TitoError> {
///     Ok(())
/// }
///
/// Worker::builder(queue).subscribe("mail", with_state(Arc::new(Mailer), send)).build()
/// # }
/// ```
pub fn with_state<S, H>(state: S, handler: H) -> WithState<S, H> {
    WithState { state, handler }
}

/// A handler with its state: see [`with_state`].
#[derive(Clone, Debug)]
#[must_use]
pub struct WithState<S, H> {
    state: S,
    handler: H,
}

/// Tells handlers with their state from others.
#[derive(Debug)]
pub enum Stateful<Args, S> {
    #[doc(hidden)]
    Never(std::convert::Infallible, std::marker::PhantomData<(Args, S)>),
}

impl<Args, S, J, H: Handler<Args, S, J>> Handler<Stateful<Args, S>, (), J> for WithState<S, H> {
    fn with_its_state(self, (): ()) -> BoxedHandler {
        self.handler.with_its_state(self.state)
    }
}
