//! Handlers of something else than a bare event: adapters that make them handlers of events.
//!
//! Each takes a function and returns what [`subscribe`](crate::WorkerBuilder::subscribe) and
//! [`subscribe_with`](crate::WorkerBuilder::subscribe_with) take; those in `_in` return what
//! [`subscribe_transactional`](crate::WorkerBuilder::subscribe_transactional) takes, and want a reference to the engine,
//! by which they know the type of its transactions.
//!
//! | | handler | transactional handler |
//! |---|---|---|
//! | the payload, decoded | [`payload`] | [`payload_in`] |
//! | the row that the event is about | [`model`] | [`model_in`] |
//! | shared state | [`with_state`] | [`with_state_in`] |
//!
//! A closure can use shared state without an adapter as well, by cloning it before its `async move` block.

use std::future::Future;
use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use serde::de::DeserializeOwned;
use tito_core::event::TitoEvent;
use tito_core::model::TitoSchema;
use tito_core::{BoxError, Database, TitoError, Transaction};

use crate::handler::IntoOutcome;
use crate::outcome::Outcome;

/// What the adapters' handlers return.
pub type HandlerFuture = BoxFuture<'static, Result<Outcome, BoxError>>;

/// A handler that gets the event's payload as a `T`.
///
/// An event without such a payload goes to the dead letters at once, with the reason, as another attempt would meet the
/// same bytes; it can be redriven once the handler reads them.
///
/// ```
/// use serde::Deserialize;
/// use tito_core::prelude::*;
/// use tito_worker::adapters::payload;
/// use tito_worker::prelude::*;
///
/// #[derive(Deserialize)]
/// struct Mail {
///     to: String,
/// }
///
/// # fn example(queue: TitoQueue) -> Worker {
/// Worker::builder(queue)
///     .subscribe("mail", payload(|mail: Mail, _event: TitoEvent| async move {
///         println!("to {}", mail.to);
///         Ok::<_, TitoError>(())
///     }))
///     .build()
/// # }
/// ```
pub fn payload<T, F, Fut, O, Error>(handler: F) -> impl Fn(TitoEvent) -> HandlerFuture + Send + Sync + 'static
where
    T: DeserializeOwned + 'static,
    F: Fn(T, TitoEvent) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<O, Error>> + Send + 'static,
    O: IntoOutcome,
    Error: Into<BoxError>,
{
    move |event| match event.payload::<T>() {
        Ok(payload) => erase(handler(payload, event)),
        Err(error) => hopeless(&error),
    }
}

/// A transactional handler that gets the event's payload as a `T`, or see [`payload`].
///
/// ```
/// use tito_core::prelude::*;
/// use tito_worker::adapters::payload_in;
/// use tito_worker::prelude::*;
///
/// # fn example(db: Database) -> Worker {
/// Worker::builder(TitoQueue::new(db.clone()))
///     .subscribe_transactional(
///         "mail",
///         Subscription::default(),
///         payload_in(&db, |address: String, _event, tx| async move {
///             tx.put(format!("seen/{address}").into_bytes(), Vec::new()).await
///         }),
///     )
///     .build()
/// # }
/// ```
pub fn payload_in<T, F, Fut, O, Error>(
    _db: &Database,
    handler: F,
) -> impl Fn(TitoEvent, Transaction) -> HandlerFuture + Send + Sync + 'static
where
    T: DeserializeOwned + 'static,
    F: Fn(T, TitoEvent, Transaction) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<O, Error>> + Send + 'static,
    O: IntoOutcome,
    Error: Into<BoxError>,
{
    move |event, tx| match event.payload::<T>() {
        Ok(payload) => erase(handler(payload, event, tx)),
        Err(error) => hopeless(&error),
    }
}

/// A handler that gets the row which the event is about, read from `db` when the handler is run: it can be newer than the
/// event, and is `None` if it was deleted.
///
/// An event about something else than a row of the model goes to the dead letters at once. A row that can't be read fails
/// the attempt.
///
/// ```
/// use serde::{Deserialize, Serialize};
/// use tito_core::prelude::*;
/// use tito_worker::adapters::model;
/// use tito_worker::prelude::*;
///
/// #[derive(Clone, Serialize, Deserialize, TitoModel)]
/// #[tito(event = "user")]
/// struct User {
///     id: String,
///     email: String,
/// }
///
/// # fn example(db: Database) -> Worker {
/// Worker::builder(TitoQueue::new(db.clone()))
///     .subscribe("user", model(db, |user: Option<User>, event: TitoEvent| async move {
///         match user {
///             Some(user) => println!("{} of {}", event.action, user.email),
///             None => println!("{} is gone", event.entity),
///         }
///         Ok::<_, TitoError>(())
///     }))
///     .build()
/// # }
/// ```
pub fn model<M, F, Fut, O, Error>(
    db: Database,
    handler: F,
) -> impl Fn(TitoEvent) -> HandlerFuture + Send + Sync + 'static
where
    M: TitoSchema,
    F: Fn(Option<M>, TitoEvent) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<O, Error>> + Send + 'static,
    O: IntoOutcome,
    Error: Into<BoxError>,
{
    let handler = Arc::new(handler);
    move |event| {
        let (db, handler) = (db.clone(), handler.clone());
        async move {
            match event.model::<M>(&db).await {
                Ok(row) => erase(handler(row, event)).await,
                Err(error) => not_a_row(error),
            }
        }
        .boxed()
    }
}

/// A transactional handler that gets the row which the event is about, read in its transaction. See [`model`].
pub fn model_in<M, F, Fut, O, Error>(
    _db: &Database,
    handler: F,
) -> impl Fn(TitoEvent, Transaction) -> HandlerFuture + Send + Sync + 'static
where
    M: TitoSchema,
    F: Fn(Option<M>, TitoEvent, Transaction) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<O, Error>> + Send + 'static,
    O: IntoOutcome,
    Error: Into<BoxError>,
{
    let handler = Arc::new(handler);
    move |event, tx| {
        let handler = handler.clone();
        async move {
            match event.model_in::<M>(&tx).await {
                Ok(row) => erase(handler(row, event, tx)).await,
                Err(error) => not_a_row(error),
            }
        }
        .boxed()
    }
}

/// A handler that gets a clone of `state` each time: a connection pool, a client, an `Arc` of anything.
///
/// ```
/// use std::sync::Arc;
/// use tito_core::prelude::*;
/// use tito_worker::adapters::with_state;
/// use tito_worker::prelude::*;
///
/// struct Mailer;
///
/// # fn example(queue: TitoQueue) -> Worker {
/// async fn send(mailer: Arc<Mailer>, event: TitoEvent) -> Result<(), TitoError> {
///     Ok(())
/// }
///
/// Worker::builder(queue).subscribe("mail", with_state(Arc::new(Mailer), send)).build()
/// # }
/// ```
pub fn with_state<S, F, Fut, O, Error>(
    state: S,
    handler: F,
) -> impl Fn(TitoEvent) -> HandlerFuture + Send + Sync + 'static
where
    S: Clone + Send + Sync + 'static,
    F: Fn(S, TitoEvent) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<O, Error>> + Send + 'static,
    O: IntoOutcome,
    Error: Into<BoxError>,
{
    move |event| erase(handler(state.clone(), event))
}

/// A transactional handler that gets a clone of `state` each time. See [`with_state`].
pub fn with_state_in<S, F, Fut, O, Error>(
    _db: &Database,
    state: S,
    handler: F,
) -> impl Fn(TitoEvent, Transaction) -> HandlerFuture + Send + Sync + 'static
where
    S: Clone + Send + Sync + 'static,
    F: Fn(S, TitoEvent, Transaction) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<O, Error>> + Send + 'static,
    O: IntoOutcome,
    Error: Into<BoxError>,
{
    move |event, tx| erase(handler(state.clone(), event, tx))
}

fn erase<Fut, O, Error>(handled: Fut) -> HandlerFuture
where
    Fut: Future<Output = Result<O, Error>> + Send + 'static,
    O: IntoOutcome,
    Error: Into<BoxError>,
{
    async move { handled.await.map(IntoOutcome::into_outcome).map_err(Into::into) }.boxed()
}

/// For an event on which no attempt can succeed.
fn hopeless(error: &TitoError) -> HandlerFuture {
    let outcome = Outcome::DeadLetter(with_causes(error));
    async move { Ok(outcome) }.boxed()
}

fn not_a_row(error: TitoError) -> Result<Outcome, BoxError> {
    match error {
        TitoError::NotOfTheTable { .. } => Ok(Outcome::DeadLetter(error.to_string())),
        error => Err(error.into()),
    }
}

fn with_causes(error: &TitoError) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
