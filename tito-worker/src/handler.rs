//! Handlers, with their types erased.

use std::future::Future;
use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use tito_core::event::TitoEvent;
use tito_core::{BoxError, Transaction};

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

/// What a batch handler can return in `Ok`: `()` for all events done, or an [`Outcome`] for each.
pub trait IntoOutcomes {
    /// The outcomes that it stands for, of a batch of `events` events.
    fn into_outcomes(self, events: usize) -> Vec<Outcome>;
}

impl IntoOutcomes for () {
    fn into_outcomes(self, events: usize) -> Vec<Outcome> {
        vec![Outcome::Done; events]
    }
}

impl IntoOutcomes for Vec<Outcome> {
    fn into_outcomes(self, _: usize) -> Vec<Outcome> {
        self
    }
}

pub(crate) type Handled = Result<Outcome, BoxError>;
pub(crate) type HandledBatch = Result<Vec<Outcome>, BoxError>;

type Plain = dyn Fn(TitoEvent) -> BoxFuture<'static, Handled> + Send + Sync;
type PlainBatch = dyn Fn(Vec<TitoEvent>) -> BoxFuture<'static, HandledBatch> + Send + Sync;
type Transactional<T> = dyn Fn(TitoEvent, T) -> BoxFuture<'static, Handled> + Send + Sync;
type TransactionalBatch<T> = dyn Fn(Vec<TitoEvent>, T) -> BoxFuture<'static, HandledBatch> + Send + Sync;

pub(crate) enum Handler {
    /// Acknowledged after they have returned, together with others.
    Plain(PlainHandler),
    /// Get the transaction that acknowledges their events.
    Transactional(TransactionalHandler),
}

#[derive(Clone)]
pub(crate) enum PlainHandler {
    One(Arc<Plain>),
    Batch(Arc<PlainBatch>),
}

pub(crate) enum TransactionalHandler {
    One(Arc<Transactional<Transaction>>),
    Batch(Arc<TransactionalBatch<Transaction>>),
}

impl Clone for Handler {
    fn clone(&self) -> Self {
        match self {
            Self::Plain(handler) => Self::Plain(handler.clone()),
            Self::Transactional(handler) => Self::Transactional(handler.clone()),
        }
    }
}

impl Clone for TransactionalHandler {
    fn clone(&self) -> Self {
        match self {
            Self::One(handler) => Self::One(handler.clone()),
            Self::Batch(handler) => Self::Batch(handler.clone()),
        }
    }
}

impl Handler {
    pub(crate) fn plain<F, Fut, O, Error>(handler: F) -> Self
    where
        F: Fn(TitoEvent) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<O, Error>> + Send + 'static,
        O: IntoOutcome,
        Error: Into<BoxError>,
    {
        Self::Plain(PlainHandler::One(Arc::new(move |event| {
            let handled = handler(event);
            async move { handled.await.map(O::into_outcome).map_err(Into::into) }.boxed()
        })))
    }

    pub(crate) fn plain_batch<F, Fut, O, Error>(handler: F) -> Self
    where
        F: Fn(Vec<TitoEvent>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<O, Error>> + Send + 'static,
        O: IntoOutcomes,
        Error: Into<BoxError>,
    {
        Self::Plain(PlainHandler::Batch(Arc::new(move |events| {
            let count = events.len();
            let handled = handler(events);
            async move { one_for_each(count, handled.await) }.boxed()
        })))
    }

    pub(crate) fn transactional<F, Fut, O, Error>(handler: F) -> Self
    where
        F: Fn(TitoEvent, Transaction) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<O, Error>> + Send + 'static,
        O: IntoOutcome,
        Error: Into<BoxError>,
    {
        Self::Transactional(TransactionalHandler::One(Arc::new(move |event, tx| {
            let handled = handler(event, tx);
            async move { handled.await.map(O::into_outcome).map_err(Into::into) }.boxed()
        })))
    }

    pub(crate) fn transactional_batch<F, Fut, O, Error>(handler: F) -> Self
    where
        F: Fn(Vec<TitoEvent>, Transaction) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<O, Error>> + Send + 'static,
        O: IntoOutcomes,
        Error: Into<BoxError>,
    {
        Self::Transactional(TransactionalHandler::Batch(Arc::new(move |events, tx| {
            let count = events.len();
            let handled = handler(events, tx);
            async move { one_for_each(count, handled.await) }.boxed()
        })))
    }
}

fn one_for_each<O: IntoOutcomes, Error: Into<BoxError>>(events: usize, result: Result<O, Error>) -> HandledBatch {
    let outcomes = result.map_err(Into::into)?.into_outcomes(events);
    if outcomes.len() != events {
        return Err(format!("the handler returned {} outcomes for {events} events", outcomes.len()).into());
    }
    Ok(outcomes)
}
