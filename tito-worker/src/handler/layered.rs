//! Handlers with layers round them: services of the crate `tower`.

use std::future::poll_fn;
use std::sync::{Mutex, PoisonError};

use tito_core::BoxError;
use tower_service::Service;

use super::Handler;
use super::boxed::BoxedHandler;
use super::extract::FromEvent;
use super::outcomes::IntoOutcome;

/// Tells services from functions.
#[derive(Debug)]
pub enum Layered<Request> {
    #[doc(hidden)]
    Never(std::convert::Infallible, std::marker::PhantomData<Request>),
}

/// A service is a handler if its request is a handler argument, or a tuple of several. Each event gets a clone of the
/// service, which is called once it is ready.
///
/// Clones share what the layers share: permits of a concurrency limit, for example. A layer whose service can't be cloned,
/// such as a rate limit, goes behind a buffer. While a service is not ready, its events count against the subscription's
/// concurrency and timeout. A layer that calls a transactional service again must not do so with the same transaction.
///
/// ```
/// use std::time::Duration;
/// use tito_core::Transaction;
/// use tito_core::prelude::*;
/// use tito_worker::prelude::*;
/// use tower::{BoxError, ServiceBuilder};
///
/// # fn example(queue: TitoQueue) -> Worker {
/// async fn handle(event: TitoEvent) -> Result<(), BoxError> {
///     Ok(())
/// }
///
/// let mail = ServiceBuilder::new()
///     .buffer(100)
///     .rate_limit(50, Duration::from_secs(1))
///     .timeout(Duration::from_secs(5))
///     .service_fn(handle);
/// let seen = ServiceBuilder::new().concurrency_limit(8).service_fn(
///     |(event, tx): (TitoEvent, Transaction)| async move {
///         tx.put(format!("seen/{}", event.entity).into_bytes(), Vec::new()).await
///     },
/// );
/// Worker::builder(queue).subscribe("mail", mail).subscribe("user", seen).build()
/// # }
/// ```
impl<Request, S, J> Handler<Layered<Request>, (), J> for S
where
    S: Service<Request, Response: IntoOutcome, Error: Into<BoxError>, Future: Send> + Clone + Send + 'static,
    Request: FromEvent<(), J> + 'static,
{
    fn with_its_state(self, (): ()) -> BoxedHandler {
        // Services need not be `Sync`; it is locked no longer than a clone takes.
        let service = Mutex::new(self);
        BoxedHandler::one(Request::IN_TRANSACTION, move |mut context| {
            let mut service = service.lock().unwrap_or_else(PoisonError::into_inner).clone();
            async move {
                let request = match Request::from_event(&mut context).await {
                    Ok(request) => request,
                    Err(rejection) => return rejection.into_handled(),
                };
                poll_fn(|context| service.poll_ready(context)).await.map_err(Into::into)?;
                let handled = service.call(request).await;
                handled.map(IntoOutcome::into_outcome).map_err(Into::into)
            }
        })
    }
}
