//! Handlers with layers round them: services of the crate `tower`.

use std::future::poll_fn;
use std::sync::{Mutex, PoisonError};

use futures::FutureExt;
use tito_core::event::TitoEvent;
use tito_core::{BoxError, Database, Transaction};
use tower_service::Service;

use crate::adapters::HandlerFuture;
use crate::handler::IntoOutcome;
use crate::policy::Subscription;
use crate::worker::WorkerBuilder;

/// A handler that is a service: what [`subscribe`](crate::WorkerBuilder::subscribe) takes. Each event gets a clone of the
/// service, which is called once it is ready.
///
/// Clones share what the layers share: permits of a concurrency limit, for example. A layer whose service can't be cloned,
/// such as a rate limit, goes behind a buffer. While a service is not ready, its events count against the subscription's
/// concurrency and timeout.
pub fn service<S>(service: S) -> impl Fn(TitoEvent) -> HandlerFuture + Send + Sync + 'static
where
    S: Service<TitoEvent, Response: IntoOutcome, Error: Into<BoxError>, Future: Send> + Clone + Send + 'static,
{
    // Services need not be `Sync`; it is locked no longer than a clone takes.
    let service = Mutex::new(service);
    move |event| call(&service, event)
}

/// A transactional handler that is a service of events with their transactions: what
/// [`subscribe_transactional`](crate::WorkerBuilder::subscribe_transactional) takes. The reference to the engine tells the
/// type of its transactions. For the rest see [`service`].
///
/// A layer that calls the service again must not do so with the same transaction.
///
/// ```
/// use std::time::Duration;
/// use tito_core::prelude::*;
/// use tito_worker::prelude::*;
/// use tito_worker::service_in;
/// use tower::ServiceBuilder;
///
/// fn worker(db: Database) -> Worker {
///     let handler = ServiceBuilder::new().concurrency_limit(8).service_fn(
///         |(event, tx): (TitoEvent, tito_core::Transaction)| async move {
///             tx.put(format!("seen/{}", event.entity).into_bytes(), Vec::new()).await
///         },
///     );
///     Worker::builder(TitoQueue::new(db.clone()))
///         .subscribe_transactional("mail", Subscription::default(), service_in(&db, handler))
///         .build()
/// }
/// ```
pub fn service_in<S>(
    _db: &Database,
    service: S,
) -> impl Fn(TitoEvent, Transaction) -> HandlerFuture + Send + Sync + 'static
where
    S: Service<(TitoEvent, Transaction), Response: IntoOutcome, Error: Into<BoxError>, Future: Send>
        + Clone
        + Send
        + 'static,
{
    let service = Mutex::new(service);
    move |event, tx| call(&service, (event, tx))
}

/// Calls a clone of a service once it is ready.
fn call<S, Request>(service: &Mutex<S>, request: Request) -> HandlerFuture
where
    S: Service<Request, Response: IntoOutcome, Error: Into<BoxError>, Future: Send> + Clone + Send + 'static,
    Request: Send + 'static,
{
    let mut service = service.lock().unwrap_or_else(PoisonError::into_inner).clone();
    async move {
        poll_fn(|context| service.poll_ready(context)).await.map_err(Into::into)?;
        let handled = service.call(request).await;
        handled.map(IntoOutcome::into_outcome).map_err(Into::into)
    }
    .boxed()
}

impl WorkerBuilder {
    /// Hands the events of a topic to a service of the crate `tower`, so that its layers can be put round a handler. See
    /// [`service`].
    ///
    /// ```
    /// use std::time::Duration;
    /// use tito_core::prelude::*;
    /// use tito_worker::prelude::*;
    /// use tower::{BoxError, ServiceBuilder};
    ///
    /// # fn example(queue: TitoQueue) -> Worker {
    /// async fn handle(event: TitoEvent) -> Result<(), BoxError> {
    ///     Ok(())
    /// }
    ///
    /// let handler = ServiceBuilder::new()
    ///     .buffer(100)
    ///     .rate_limit(50, Duration::from_secs(1))
    ///     .timeout(Duration::from_secs(5))
    ///     .service_fn(handle);
    /// Worker::builder(queue).subscribe_service("mail", Subscription::default(), handler).build()
    /// # }
    /// ```
    pub fn subscribe_service<S>(self, event_type: impl Into<String>, subscription: Subscription, handler: S) -> Self
    where
        S: Service<TitoEvent, Response: IntoOutcome, Error: Into<BoxError>, Future: Send> + Clone + Send + 'static,
    {
        self.subscribe_with(event_type, subscription, service(handler))
    }
}
