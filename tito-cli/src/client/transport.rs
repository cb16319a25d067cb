//! The three ways to speak to a database.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;
use tower::ServiceExt as _;

#[cfg(unix)]
use super::LocalSocket;
use super::{Body, Remote};
use crate::failure::{Failure, Kind, Result};

/// How the API is reached.
pub(crate) enum Transport {
    /// In this process, over a database that it has opened.
    InProcess(Router),
    /// By the socket of the application that has the database open.
    #[cfg(unix)]
    Socket(LocalSocket),
    /// Over the network.
    Remote(Remote),
}

impl Transport {
    pub(super) async fn send(&self, request: Request<Full<Bytes>>, sent: &Sent) -> Result<Response<Body>> {
        match self {
            Self::InProcess(router) => {
                sent.mark();
                let response = match router.clone().oneshot(request).await {
                    Ok(response) => response,
                    Err(never) => match never {},
                };
                Ok(response.map(|body| body.map_err(Into::into).boxed_unsync()))
            }
            #[cfg(unix)]
            Self::Socket(socket) => {
                let stream = socket.connect().await?;
                exchange(stream, request, "localhost", sent).await
            }
            Self::Remote(remote) => remote.send(request, sent).await,
        }
    }
}

/// Whether the other side may have got a request.
#[derive(Debug, Default)]
pub(crate) struct Sent(AtomicBool);

impl Sent {
    fn mark(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_marked(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Sends one request on a connection of its own.
pub(super) async fn exchange<S>(
    stream: S,
    mut request: Request<Full<Bytes>>,
    host: &str,
    sent: &Sent,
) -> Result<Response<Body>>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let failed = |error: hyper::Error| Failure::new(Kind::Unavailable, "the connection broke").because(error);
    let host = http::HeaderValue::try_from(host)
        .map_err(|error| Failure::usage("the host can't be named in a request").because(error))?;
    request.headers_mut().insert(http::header::HOST, host);
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(failed)?;
    // It ends with the answer's body, or when that is dropped.
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "a connection broke");
        }
    });
    sent.mark();
    let response = sender.send_request(request).await.map_err(failed)?;
    Ok(response.map(|body| body.map_err(Into::into).boxed_unsync()))
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InProcess(_) => f.write_str("InProcess"),
            #[cfg(unix)]
            Self::Socket(socket) => socket.fmt(f),
            Self::Remote(remote) => f.debug_tuple("Remote").field(remote).finish(),
        }
    }
}
