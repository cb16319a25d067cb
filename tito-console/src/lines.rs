//! Answers that come bit by bit: they take a place of their own while they last, and their task ends with them.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
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

/// At how many heartbeats in a row a peer may have taken nothing of what waits for it.
const STUCK: u32 = 4;

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

/// What an answer and its task know of each other.
struct Shared {
    /// How many bits the peer's connection has taken.
    taken: AtomicU64,
    /// Whether what was not taken yet is lost.
    is_cut: AtomicBool,
    place: Mutex<Option<OwnedSemaphorePermit>>,
}

impl Shared {
    fn give_place_back(&self) {
        drop(self.place.lock().unwrap_or_else(PoisonError::into_inner).take());
    }

    /// Ends when the peer has taken nothing for long of what waits for it: it has gone without a word, or hangs. What is
    /// `said` to it meanwhile is nothing, in an empty line, so that it is found out too where there is nothing else to say.
    async fn stuck(&self, bits: mpsc::WeakSender<Bit>, every: Heartbeat, said: Option<&'static [u8]>) {
        let clock = every.database.clock();
        let millis = u64::try_from(every.interval.as_millis()).unwrap_or(u64::MAX).max(1);
        let (mut taken, mut stuck) = (self.taken.load(Ordering::Relaxed), 0);
        while stuck < STUCK {
            clock.wait_until_monotonic(clock.monotonic_millis().saturating_add(millis)).await;
            // Whoever is behind has more to read as it is. Where the task has ended, the end is still to be taken.
            let is_behind = match (bits.upgrade(), said) {
                (Some(bits), Some(said)) => bits.try_send(Ok(Bytes::from_static(said))).is_err(),
                (Some(bits), None) => bits.capacity() == 0,
                (None, _) => true,
            };
            let before = std::mem::replace(&mut taken, self.taken.load(Ordering::Relaxed));
            stuck = if is_behind && taken == before { stuck + 1 } else { 0 };
        }
        tracing::info!("an answer is cut off, as its peer takes nothing of it");
        self.is_cut.store(true, Ordering::Relaxed);
        self.give_place_back();
    }
}

struct Answering {
    bits: mpsc::Receiver<Bit>,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

impl Stream for Answering {
    type Item = Result<Bytes, std::io::Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let cut = |failure: Failure| std::io::Error::other(failure.problem().message.clone());
        let bit = std::task::ready!(self.bits.poll_recv(context));
        if bit.is_some() {
            self.shared.taken.fetch_add(1, Ordering::Relaxed);
        } else if self.shared.is_cut.swap(false, Ordering::Relaxed) {
            let cut = std::io::Error::new(std::io::ErrorKind::TimedOut, "nothing was taken of the answer for too long");
            return Poll::Ready(Some(Err(cut)));
        }
        Poll::Ready(bit.map(|bit| bit.map_err(cut)))
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.task.abort();
        self.shared.give_place_back();
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
    answer(place, heartbeat, Some(b"\n"), NDJSON, run)
}

/// As [`stream`], of bytes, among which there can be no empty lines.
pub(crate) fn bits<F>(place: OwnedSemaphorePermit, heartbeat: Heartbeat, run: impl FnOnce(Lines) -> F) -> Response<Body>
where
    F: Future<Output = ()> + Send + 'static,
{
    answer(place, heartbeat, None, "application/octet-stream", run)
}

fn answer<F>(
    place: OwnedSemaphorePermit,
    heartbeat: Heartbeat,
    said: Option<&'static [u8]>,
    media_type: &'static str,
    run: impl FnOnce(Lines) -> F,
) -> Response<Body>
where
    F: Future<Output = ()> + Send + 'static,
{
    let (sender, bits) = mpsc::channel(WAITING);
    let (taken, is_cut) = (AtomicU64::new(0), AtomicBool::new(false));
    let shared = Arc::new(Shared { taken, is_cut, place: Mutex::new(Some(place)) });
    let (watched, weak) = (shared.clone(), sender.downgrade());
    let running = run(Lines(sender));
    let task = tokio::spawn(async move {
        let mut stuck = std::pin::pin!(watched.stuck(weak, heartbeat, said));
        tokio::select! {
            () = running => stuck.await,
            () = &mut stuck => {}
        }
    });
    let mut response = Response::new(Body::from_stream(Answering { bits, shared, task }));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// JSON objects, one a line.
const NDJSON: &str = "application/x-ndjson";
