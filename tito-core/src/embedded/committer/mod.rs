//! The one thread that commits. Everything that waits when it comes round becomes one group with one fsync. There is no
//! timer: the time that the last group took is the window in which the next one gathers.

mod group;
mod request;
mod reserve;
mod without_space;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use super::Core;
use super::head::lock;
use super::opening::storage_failed;
use super::oracle::LEFT_TO_COMMITS;
use super::recent::RecentCommits;
use super::store::{AppendError, Snapshot, Store, StoreSizes};
use crate::error::Result;
use crate::panics;
use crate::timestamp::Timestamp;

pub(super) use self::request::{CommitRequest, QUEUE, Request};

/// Bounds of one group: more waits for the next one, so that neither latency nor memory grows with the load.
const MOST_TRANSACTIONS: usize = LEFT_TO_COMMITS as usize;
const MOST_BYTES: usize = 16 << 20;

pub(super) struct Committer {
    core: Arc<Core>,
    store: Box<dyn Store>,
    latest: Arc<dyn Snapshot>,
    recent: RecentCommits,
    group: u64,
    /// How long the last append took.
    last_append: Duration,
}

impl Committer {
    pub(super) fn new(core: Arc<Core>, store: Box<dyn Store>, latest: Arc<dyn Snapshot>) -> Self {
        Self { core, store, latest, recent: RecentCommits::default(), group: 0, last_append: Duration::ZERO }
    }

    /// Serves requests until all handles of the engine are gone, one asks to close it, or the storage is lost.
    pub(super) fn run(mut self, mut requests: mpsc::Receiver<Request>) {
        let core = self.core.clone();
        let served = panics::caught(|| self.serve(&mut requests));
        let closing = served.unwrap_or_else(|text| {
            // Those who wait for an answer are told that the outcome is unknown, as their requests are gone.
            core.fail(format!("an assertion of the engine failed: {text}"));
            None
        });
        // The storage is released before whoever asked for that is told.
        self.close();
        requests.close();
        if let Some(reply) = closing {
            let _ = reply.send(());
        }
        // Also what is on its way: it would keep its sender, and so itself, for ever.
        while let Some(request) = requests.blocking_recv() {
            if let Request::Commit(refused) = request {
                let _ = refused.reply.send(lock(&core.head).check_open().map(|()| Timestamp::ZERO));
            }
        }
    }

    /// Returns the sender to tell once the storage is released.
    fn serve(&mut self, requests: &mut mpsc::Receiver<Request>) -> Option<oneshot::Sender<()>> {
        while let Some(request) = requests.blocking_recv() {
            let mut next = Some(request);
            while let Some(request) = next.take() {
                match request {
                    Request::Commit(first) => next = self.commit_waiting(first, requests),
                    Request::Reserve(reply) => {
                        let _ = reply.send(self.reserve());
                    }
                    Request::Maintain => {
                        self.maintain();
                        self.release_flushed();
                    }
                    Request::Sizes(reply) => {
                        let _ = reply.send(self.sizes());
                    }
                    Request::Close(reply) => return Some(reply),
                }
                if self.core.is_closed() {
                    return None;
                }
            }
        }
        None
    }

    /// Commits `first` and all that waits behind it, up to a bound or a request of another kind, which is returned.
    fn commit_waiting(&mut self, first: CommitRequest, requests: &mut mpsc::Receiver<Request>) -> Option<Request> {
        let mut bytes = first.bytes;
        let mut waiting = vec![first];
        let mut other = None;
        while waiting.len() < MOST_TRANSACTIONS && bytes < MOST_BYTES {
            match requests.try_recv() {
                Ok(Request::Commit(request)) => {
                    bytes += request.bytes;
                    waiting.push(request);
                }
                Ok(request) => {
                    other = Some(request);
                    break;
                }
                Err(_) => break,
            }
        }
        self.commit(waiting);
        other
    }

    fn maintain(&mut self) {
        if self.core.is_closed() {
            return;
        }
        if let Err(error) = guarded(|| self.store.maintain()) {
            // What was committed is in the log, and was answered as that.
            self.core.fail(format!("the storage failed in a flush, so the database has to be opened again: {error}"));
        }
    }

    /// Releases the memtables that were flushed since the last commit.
    fn release_flushed(&mut self) {
        if self.core.is_closed() {
            return;
        }
        let before = std::mem::replace(&mut self.latest, self.store.snapshot());
        let published = lock(&self.core.head).publish(self.latest.clone(), self.group);
        drop((before, published));
    }

    fn sizes(&self) -> Result<StoreSizes> {
        lock(&self.core.head).check_open()?;
        guarded(|| self.store.sizes()).map_err(|source| storage_failed("reading sizes", source))
    }

    /// Closes the storage. It keeps the last timestamp in place of the reservation, so that the clock is not ahead after
    /// the next start.
    fn close(self) {
        let last = {
            // In one step: no timestamp is handed out after the last one was taken.
            let mut head = lock(&self.core.head);
            let was_open = head.check_open().is_ok();
            head.close("it was shut down".to_string());
            was_open.then(|| head.oracle.last())
        };
        // After an error of the storage, what it holds is left as it is for the next opening.
        let Some(last) = last else { return };
        let Self { store, latest, .. } = self;
        drop(latest);
        if let Err(error) = guarded(|| store.close(last)) {
            tracing::warn!(%error, "the embedded engine could not tidy up; the next opening will");
        }
    }
}

/// A panic in the storage, say on a damaged page, is an error of the storage.
pub(super) fn guarded<T, E: From<Panicked>>(
    f: impl FnOnce() -> std::result::Result<T, E>,
) -> std::result::Result<T, E> {
    panics::caught(f).unwrap_or_else(|text| Err(Panicked(text).into()))
}

/// A part of the storage that panicked.
#[derive(Debug, thiserror::Error)]
#[error("the storage panicked: {0}")]
pub(super) struct Panicked(String);

impl From<Panicked> for io::Error {
    fn from(panic: Panicked) -> Self {
        Self::other(panic)
    }
}

impl From<Panicked> for AppendError {
    /// Where it panicked is not known, so neither is what was written.
    fn from(panic: Panicked) -> Self {
        Self::Lost(panic.into())
    }
}
