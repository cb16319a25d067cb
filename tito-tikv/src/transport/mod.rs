//! How servers are reached.
mod sockets;

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tonic::body::Body;
use tonic::codegen::{Service, StdError, http};

pub use sockets::{Sockets, Tls};

/// A boxed future.
pub(crate) type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// How the servers of a cluster are reached: over sockets ([`Sockets`]), or however a test wants.
pub trait Transport: Send + Sync + 'static {
    /// A new connection to the server at an address, `host:port` with or without a scheme in front.
    ///
    /// # Errors
    ///
    /// If the server can't be reached. Nothing was sent to it.
    fn connect(&self, address: &str) -> Pin<Box<dyn Future<Output = Result<Connection, StdError>> + Send>>;
}

/// A connection to one server. It carries any number of calls at once; clones share it.
#[derive(Clone)]
pub struct Connection(Arc<dyn Server>);

trait Server: Send + Sync {
    fn call(&self, request: http::Request<Body>) -> BoxFuture<Result<http::Response<Body>, StdError>>;
}

struct Cloned<S>(S);

impl<S> Server for Cloned<S>
where
    S: Service<http::Request<Body>, Response = http::Response<Body>> + Clone + Send + Sync + 'static,
    S::Error: Into<StdError>,
    S::Future: Send + 'static,
{
    fn call(&self, request: http::Request<Body>) -> BoxFuture<Result<http::Response<Body>, StdError>> {
        let mut service = self.0.clone();
        Box::pin(async move {
            poll_fn(|context| service.poll_ready(context)).await.map_err(Into::into)?;
            service.call(request).await.map_err(Into::into)
        })
    }
}

impl Connection {
    /// A connection made of any service that answers HTTP requests.
    pub fn new<S>(service: S) -> Self
    where
        S: Service<http::Request<Body>, Response = http::Response<Body>> + Clone + Send + Sync + 'static,
        S::Error: Into<StdError>,
        S::Future: Send + 'static,
    {
        Connection(Arc::new(Cloned(service)))
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").finish_non_exhaustive()
    }
}

impl Service<http::Request<Body>> for Connection {
    type Response = http::Response<Body>;
    type Error = StdError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), StdError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        self.0.call(request)
    }
}
