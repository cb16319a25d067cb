//! Connections accepted, served, and ended.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use tito_core::Database;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tower_service::Service;

use crate::access::Who;

/// How many connections are open at once; more wait to be accepted.
const CONNECTIONS: usize = 128;

/// How long the head of a request may take to arrive, and a connection may be idle.
const HEAD_TIME: Duration = Duration::from_secs(30);

/// How long what is under way may take when a server is stopped.
const LAST_TIME: Duration = Duration::from_secs(5);

/// How long nothing is accepted after the system refused to, such as for want of file descriptors.
const PAUSE: Duration = Duration::from_millis(100);

/// What connections come from.
pub(super) trait Listen: Send + 'static {
    type Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static;

    /// The next connection, and who it is; `None` for one that is not let in.
    fn accept(&mut self) -> impl Future<Output = io::Result<Option<(Self::Stream, Who)>>> + Send;
}

/// Serves until it is told to stop, its handle is gone, or the database is closed.
pub(super) async fn serve(
    mut listener: impl Listen,
    router: Router,
    database: Database,
    mut stopped: watch::Receiver<bool>,
) {
    let (permits, mut connections) = (Arc::new(Semaphore::new(CONNECTIONS)), JoinSet::new());
    let (end, ended) = watch::channel(false);
    let mut closed = std::pin::pin!(database.closed());
    loop {
        let next = async {
            let permit = permits.clone().acquire_owned().await;
            (permit, listener.accept().await)
        };
        tokio::select! {
            biased;
            () = told(&mut stopped) => break,
            _ = &mut closed => break,
            Some(_) = connections.join_next() => {}
            (permit, accepted) = next => match accepted {
                Ok(Some((stream, who))) => {
                    let (router, ended) = (router.clone(), ended.clone());
                    connections.spawn(async move {
                        let _permit = permit;
                        connection(stream, who, router, ended).await;
                    });
                }
                Ok(None) => {}
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(PAUSE).await;
                }
            },
        }
    }
    drop(listener);
    end.send_replace(true);
    let all = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(LAST_TIME, all).await.is_err() {
        tracing::warn!("requests that took longer than {LAST_TIME:?} were ended with their server");
        connections.shutdown().await;
    }
}

/// Completes when it is told to end, or nobody is left who could tell.
async fn told(end: &mut watch::Receiver<bool>) {
    let _ = end.wait_for(|is_over| *is_over).await;
}

async fn connection(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    who: Who,
    router: Router,
    mut ended: watch::Receiver<bool>,
) {
    let service = hyper::service::service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(who.clone());
        router.clone().call(request)
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEAD_TIME);
    let serving = builder.serve_connection(TokioIo::new(stream), service);
    let mut serving = std::pin::pin!(serving);
    let served = tokio::select! {
        served = &mut serving => served,
        () = told(&mut ended) => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = served {
        // Whoever asked is gone, or does not speak HTTP.
        tracing::debug!(%error, "a connection has ended with an error");
    }
}
