//! Answers that come bit by bit: they take a place of their own while they last, and their task ends with them.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, Response, header};
use futures::Stream;
use serde::Serialize;
use tito_core::Database;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinHandle;

use crate::api::{Code, ErrorBody};
use crate::failure::{Answer, Failure};

/// How many bits wait for whoever is slow to take them; then the task waits.
const WAITING: usize = 16;

/// What an answer is made of: bytes, or an error after which the connection is cut, so that nobody takes it for whole.
pub(crate) type Bit = Result<Bytes, Failure>;

/// Where a task puts what it has to say.
#[derive(Clone, Debug)]
pub(crate) struct Lines(mpsc::Sender<Bit>);

impl Lines {
    /// One object in a line of its own. False if nobody listens any more.
    pub(crate) async fn say(&self, value: &impl Serialize) -> bool {
        let Some(line) = line(value) else { return true };
        self.0.send(Ok(line)).await.is_ok()
    }

    /// Like [`say`](Lines::say), unless whoever listens is behind.
    pub(crate) fn try_say(&self, value: &impl Serialize) {
        if let Some(line) = line(value) {
            // What is left out is progress, of which there is more to come.
            let _ = self.0.try_send(Ok(line));
        }
    }

    /// An error, as the last line.
    pub(crate) async fn fail(&self, failure: Failure) {
        self.say(&ErrorBody { error: failure.problem().clone() }).await;
    }

    /// Where bits of any kind go.
    pub(crate) fn bits(&self) -> &mpsc::Sender<Bit> {
        &self.0
    }

    /// Says nothing, in an empty line, again and again: so that a peer that has gone without a word is found out where there
    /// is nothing else to say, and does not keep its place for ever.
    async fn beat(&self, every: Heartbeat) {
        let clock = every.database.clock();
        let millis = u64::try_from(every.interval.as_millis()).unwrap_or(u64::MAX).max(1);
        loop {
            clock.wait_until_monotonic(clock.monotonic_millis().saturating_add(millis)).await;
            // Whoever is behind has more to read as it is.
            let _ = self.0.try_send(Ok(Bytes::from_static(b"\n")));
        }
    }
}

/// How often an empty line says that a quiet answer goes on, by the database's clock.
#[derive(Clone, Debug)]
pub(crate) struct Heartbeat {
    pub(crate) database: Database,
    pub(crate) interval: Duration,
}

fn line(value: &impl Serialize) -> Option<Bytes> {
    match serde_json::to_vec(value) {
        Ok(mut line) => {
            // JSON that is shown as it was stored may have line ends between its parts; within texts they are escaped.
            line.retain(|byte| !matches!(byte, b'\n' | b'\r'));
            line.push(b'\n');
            Some(line.into())
        }
        Err(error) => {
            tracing::error!(%error, "a line of an answer can't be written as JSON");
            None
        }
    }
}

struct Answering {
    bits: mpsc::Receiver<Bit>,
    task: JoinHandle<()>,
    _permit: OwnedSemaphorePermit,
}

impl Stream for Answering {
    type Item = Result<Bytes, std::io::Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let cut = |failure: Failure| std::io::Error::other(failure.problem().message.clone());
        self.bits.poll_recv(context).map(|bit| bit.map(|bit| bit.map_err(cut)))
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A place for an answer that comes bit by bit.
pub(crate) fn place(places: &Arc<Semaphore>) -> Answer<OwnedSemaphorePermit> {
    let busy = |_| Failure::new(Code::Busy, "no more streams are taken: others are under way").retryable();
    places.clone().try_acquire_owned().map_err(busy)
}

/// An answer of JSON objects, one a line, made by a task that ends at once when nobody listens any more.
pub(crate) fn stream<F>(
    place: OwnedSemaphorePermit,
    heartbeat: Heartbeat,
    run: impl FnOnce(Lines) -> F,
) -> Response<Body>
where
    F: Future<Output = ()> + Send + 'static,
{
    bits(place, NDJSON, |lines| {
        let (beating, running) = (lines.clone(), run(lines));
        async move {
            tokio::select! {
                () = running => {}
                () = beating.beat(heartbeat) => {}
            }
        }
    })
}

/// As [`stream`], of a media type of its own, and without heartbeats.
pub(crate) fn bits<F>(
    place: OwnedSemaphorePermit,
    media_type: &'static str,
    run: impl FnOnce(Lines) -> F,
) -> Response<Body>
where
    F: Future<Output = ()> + Send + 'static,
{
    let (sender, bits) = mpsc::channel(WAITING);
    let task = tokio::spawn(run(Lines(sender)));
    let mut response = Response::new(Body::from_stream(Answering { bits, task, _permit: place }));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// JSON objects, one a line.
const NDJSON: &str = "application/x-ndjson";
