//! Calls without sockets: a client's encoded request goes straight to a server, and the answer straight back.
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http_body::{Body as _, Frame, SizeHint};
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::{Bytes, Service, http};
use tonic::service::Routes;

use crate::listener::OpenLine;
use crate::node::Node;

/// A server of a cluster, to be called within the process; see [`MockCluster::connect`](crate::MockCluster::connect).
///
/// It is the transport for a client's stub: `TikvClient::new(in_process)`. Each call acts like a connection of its own
/// that can be cut, and a stopped server can't be reached. There are no sockets and no timers, so a test may pause
/// Tokio's clock.
#[derive(Clone)]
pub struct InProcess {
    node: Arc<Node>,
    routes: Routes,
}

impl InProcess {
    pub(crate) fn new(node: Arc<Node>) -> Self {
        let routes = node.routes().clone();
        InProcess { node, routes }
    }
}

impl std::fmt::Debug for InProcess {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("InProcess").field("address", &self.node.address()).finish_non_exhaustive()
    }
}

fn unreachable() -> Status {
    Status::unavailable("the server of the mock cluster can't be reached")
}

impl Service<http::Request<Body>> for InProcess {
    type Response = http::Response<Body>;
    type Error = Status;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Status>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        if !self.node.is_running() {
            return Box::pin(async { Err(unreachable()) });
        }
        let line = self.node.connections().open_line(true);
        let mut answer = self.routes.call(request);
        Box::pin(async move {
            let answer = poll_fn(|context| {
                if line.is_cut(context) {
                    return Poll::Ready(Err(unreachable()));
                }
                Pin::new(&mut answer).poll(context).map(|answer| answer.map_err(|never| match never {}))
            })
            .await?;
            Ok(answer.map(|body| if body.is_end_stream() { body } else { Body::new(Wired { body, line }) }))
        })
    }
}

/// An answer that breaks off when its line is cut.
struct Wired {
    body: Body,
    line: OpenLine,
}

impl http_body::Body for Wired {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if self.line.is_cut(context) {
            return Poll::Ready(Some(Err(unreachable())));
        }
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
