//! What applications implement.

use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use tito_core::event::Cause;
use tito_core::{BoxError, Transaction};
use tito_worker::IntoOutcome;
use tito_worker::feed::HandlerResult;

use crate::event::Event;

/// What a [`Reactor`](crate::Reactor) can run: an asynchronous function or closure of an [`Event`], or of an `Event`
/// and a [`Transaction`]. It returns `Ok` of `()` or of an [`Outcome`](tito_worker::Outcome), or any error, after which
/// the event is retried. The outcome [`Advance`](tito_worker::Outcome::Advance) is not allowed and fails the attempt:
/// what was appended stays as it is.
///
/// - **Plain** handlers are called for events of different entities concurrently, and can see an event again if the
///   worker dies before recording that it was handled.
/// - **Transactional** handlers write into the transaction that moves the reactor past the event: both commit or
///   neither, so these effects happen exactly once. Events share a transaction, up to 2,048 of them, and are handled in
///   it one after the other, in the order of their sequences; if one fails, nothing of it is committed.
///
/// ```
/// use tito_core::prelude::*;
/// use tito_core::Transaction;
/// use tito_eventstore::{Event, EventStore, EventStoreError, NewEvent, ReactFrom};
/// use tito_worker::prelude::*;
///
/// async fn mail(event: Event) -> Result<(), TitoError> {
///     println!("{} {}", event.entity(), event.event_type());
///     Ok(())
/// }
///
/// # async fn example(db: Database, bank: EventStore) -> Result<(), EventStoreError> {
/// let welcome = bank.react("welcome", "account.*.opened", ReactFrom::First).await?;
/// let count = bank.react("count", "account", ReactFrom::New).await?;
/// let counted = |event: Event, tx: Transaction| async move {
///     tx.put(format!("seen/{}", event.sequence()).into_bytes(), Vec::new()).await
/// };
/// let worker = Worker::builder(TitoQueue::new(db));
/// let worker = count.subscribe(welcome.subscribe(worker, mail), counted).build();
/// # Ok(())
/// # }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no handler of a store's events",
    label = "not a handler",
    note = "a handler is an `async` function or closure, `Send + Sync + 'static`, of an `Event`, or of an `Event` and a \
            `Transaction`; it returns `Result<(), E>` or `Result<Outcome, E>` with an `E: Into<BoxError>`, and its future \
            is `Send`"
)]
pub trait Reaction<Args> {
    #[doc(hidden)]
    fn erased(self) -> Erased;
}

/// A handler, its types erased.
#[doc(hidden)]
#[derive(Clone)]
pub enum Erased {
    /// It gets an event.
    Plain(Plain),
    /// And a transaction.
    InTransaction(InTransaction),
}

pub(super) type Plain = Arc<dyn Fn(Event) -> BoxFuture<'static, HandlerResult> + Send + Sync>;
pub(super) type InTransaction = Arc<dyn Fn(Event, Transaction) -> BoxFuture<'static, HandlerResult> + Send + Sync>;

fn handled<O: IntoOutcome>(returned: Result<O, impl Into<BoxError>>) -> HandlerResult {
    returned.map(O::into_outcome).map_err(Into::into)
}

impl<F, Fut, O, Error> Reaction<(Event,)> for F
where
    F: Fn(Event) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<O, Error>> + Send + 'static,
    O: IntoOutcome,
    Error: Into<BoxError>,
{
    fn erased(self) -> Erased {
        let handler = Arc::new(self);
        Erased::Plain(Arc::new(move |event| {
            let handler = handler.clone();
            // Called where its panics are caught. What it publishes was caused by the event of the store, be that in the queue.
            Cause::other(event.id()).scope(async move { handled(handler(event).await) }).boxed()
        }))
    }
}

impl<F, Fut, O, Error> Reaction<(Event, Transaction)> for F
where
    F: Fn(Event, Transaction) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<O, Error>> + Send + 'static,
    O: IntoOutcome,
    Error: Into<BoxError>,
{
    fn erased(self) -> Erased {
        let handler = Arc::new(self);
        Erased::InTransaction(Arc::new(move |event, tx| {
            let handler = handler.clone();
            Cause::other(event.id()).scope(async move { handled(handler(event, tx).await) }).boxed()
        }))
    }
}
