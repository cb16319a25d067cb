//! Handlers, with their types erased.

use std::future::Future;
use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use tito_core::event::TitoEvent;
use tito_core::{BoxError, TitoEngine};

use crate::outcome::Outcome;

/// What a handler can return in `Ok`: `()` or an [`Outcome`].
pub trait IntoOutcome {
    /// The outcome that it stands for.
    fn into_outcome(self) -> Outcome;
}

impl IntoOutcome for Outcome {
    fn into_outcome(self) -> Outcome {
        self
    }
}

impl IntoOutcome for () {
    fn into_outcome(self) -> Outcome {
        Outcome::Done
    }
}

pub(crate) type Handled = Result<Outcome, BoxError>;

type Plain = dyn Fn(TitoEvent) -> BoxFuture<'static, Handled> + Send + Sync;
type Transactional<T> = dyn Fn(TitoEvent, T) -> BoxFuture<'static, Handled> + Send + Sync;

pub(crate) enum Handler<E: TitoEngine> {
    /// Acknowledged after it has returned, together with others.
    Plain(Arc<Plain>),
    /// Gets the transaction that acknowledges its event.
    Transactional(Arc<Transactional<E::Transaction>>),
}

impl<E: TitoEngine> Clone for Handler<E> {
    fn clone(&self) -> Self {
        match self {
            Self::Plain(handler) => Self::Plain(handler.clone()),
            Self::Transactional(handler) => Self::Transactional(handler.clone()),
        }
    }
}

impl<E: TitoEngine> Handler<E> {
    pub(crate) fn plain<F, Fut, O, Error>(handler: F) -> Self
    where
        F: Fn(TitoEvent) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<O, Error>> + Send + 'static,
        O: IntoOutcome,
        Error: Into<BoxError>,
    {
        Self::Plain(Arc::new(move |event| {
            let handled = handler(event);
            async move { erase(handled.await) }.boxed()
        }))
    }

    pub(crate) fn transactional<F, Fut, O, Error>(handler: F) -> Self
    where
        F: Fn(TitoEvent, E::Transaction) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<O, Error>> + Send + 'static,
        O: IntoOutcome,
        Error: Into<BoxError>,
    {
        Self::Transactional(Arc::new(move |event, tx| {
            let handled = handler(event, tx);
            async move { erase(handled.await) }.boxed()
        }))
    }
}

fn erase<O: IntoOutcome, Error: Into<BoxError>>(result: Result<O, Error>) -> Handled {
    result.map(IntoOutcome::into_outcome).map_err(Into::into)
}
