//! The one thread that commits. Whatever waits for it when it comes round becomes one group with one fsync: there is no
//! timer, the time that the last group took is the window in which the next one gathers.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use super::hash::KeyHash;
use super::head::lock;
use super::recent::RecentCommits;
use super::store::{Snapshot, Store, StoreResult, StoreSizes, Write};
use super::{Core, too_old};
use crate::engine::Announcements;
use crate::engine::write_buffer::{Pending, already_exists};
use crate::error::{BoxError, KeyText, Result, TitoError};
use crate::panics;
use crate::timestamp::Timestamp;

/// Bounds of one group: more waits for the next one, so that neither latency nor memory grows with the load.
const MOST_TRANSACTIONS: usize = 4_096;
const MOST_BYTES: usize = 16 << 20;

/// How many requests can wait.
pub(super) const QUEUE: usize = 4_096;

pub(super) enum Request {
    Commit(CommitRequest),
    /// Reserve more timestamps.
    Reserve(oneshot::Sender<Result<()>>),
    Sizes(oneshot::Sender<Result<StoreSizes>>),
    /// Release the storage.
    Close(oneshot::Sender<()>),
}

/// A transaction to be committed.
pub(super) struct CommitRequest {
    pub(super) start: Timestamp,
    /// The last group that it saw.
    pub(super) group: u64,
    /// The hashes are computed in the caller's task, so that the committer need not.
    pub(super) writes: Vec<(KeyHash, Vec<u8>, Pending)>,
    pub(super) locks: Vec<(KeyHash, Vec<u8>)>,
    pub(super) bytes: usize,
    pub(super) announcements: Announcements,
    pub(super) reply: oneshot::Sender<Result<Timestamp>>,
}

impl CommitRequest {
    fn keys(&self) -> impl Iterator<Item = (KeyHash, &[u8])> {
        let written = self.writes.iter().map(|(hash, key, _)| (*hash, key.as_slice()));
        written.chain(self.locks.iter().map(|(hash, key)| (*hash, key.as_slice())))
    }
}

struct Accepted {
    start: Timestamp,
    announcements: Announcements,
    reply: oneshot::Sender<Result<Timestamp>>,
}

pub(super) struct Committer {
    core: Arc<Core>,
    store: Box<dyn Store>,
    latest: Arc<dyn Snapshot>,
    recent: RecentCommits,
    group: u64,
}

impl Committer {
    pub(super) fn new(core: Arc<Core>, store: Box<dyn Store>, latest: Arc<dyn Snapshot>) -> Self {
        Self { core, store, latest, recent: RecentCommits::default(), group: 0 }
    }

    /// Serves requests until all handles of the engine are gone, or one asks to close it.
    pub(super) fn run(mut self, mut requests: mpsc::Receiver<Request>) {
        let mut closing = None;
        while let Some(request) = requests.blocking_recv() {
            let mut next = Some(request);
            while let Some(request) = next.take() {
                match request {
                    Request::Commit(first) => next = self.commit_waiting(first, &mut requests),
                    Request::Reserve(reply) => {
                        let _ = reply.send(self.reserve());
                    }
                    Request::Sizes(reply) => {
                        let _ = reply.send(self.sizes());
                    }
                    Request::Close(reply) => closing = Some(reply),
                }
            }
            if closing.is_some() {
                break;
            }
        }
        let core = self.core.clone();
        // The storage is released before anybody can learn that the engine is closed.
        self.close();
        requests.close();
        while let Ok(request) = requests.try_recv() {
            if let Request::Commit(refused) = request {
                let _ = refused.reply.send(lock(&core.head).check_open().map(|()| Timestamp::ZERO));
            }
        }
        if let Some(reply) = closing {
            let _ = reply.send(());
        }
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

    fn commit(&mut self, waiting: Vec<CommitRequest>) {
        let group = self.group + 1;
        let mut accepted = Vec::with_capacity(waiting.len());
        let mut writes: Vec<Write> = Vec::new();
        for (request, admitted) in self.admit(waiting) {
            // A caller that is gone has cancelled its commit.
            if request.reply.is_closed() {
                continue;
            }
            if let Err(error) = admitted.and_then(|()| self.check(&request)) {
                let _ = request.reply.send(Err(error));
                continue;
            }
            for (hash, _) in request.keys() {
                self.recent.note(hash, group);
            }
            writes.extend(request.writes.into_iter().map(|(_, key, pending)| (key, pending.value)));
            let CommitRequest { start, announcements, reply, .. } = request;
            accepted.push(Accepted { start, announcements, reply });
        }
        if accepted.is_empty() {
            return;
        }
        self.group = group;
        match self.apply(writes) {
            Ok(reserved) => self.publish(reserved, accepted),
            Err(error) => self.fail(&error, accepted),
        }
    }

    /// Finds out for all at once, as it takes the head's lock, which transactions are still alive.
    fn admit(&self, waiting: Vec<CommitRequest>) -> Vec<(CommitRequest, Result<()>)> {
        let mut head = lock(&self.core.head);
        let now = self.core.now(&head);
        let expired = head.expire(now, self.core.max_age_millis);
        let admit = |request: CommitRequest| {
            let admitted = head.check_open().and_then(|()| match head.is_live(request.start) {
                true => Ok(()),
                false => Err(too_old(request.start, now, self.core.max_age_millis)),
            });
            (request, admitted)
        };
        let admitted = waiting.into_iter().map(admit).collect();
        drop(head);
        drop(expired);
        admitted
    }

    /// Whether the transaction may commit.
    fn check(&self, request: &CommitRequest) -> Result<()> {
        for (hash, key) in request.keys() {
            if self.recent.is_newer_than(hash, request.group) {
                return Err(TitoError::Conflict { key: KeyText::from(key) });
            }
        }
        // Without a conflict the latest state of these keys is the one that the transaction saw.
        for (_, key, pending) in &request.writes {
            if pending.must_be_new && self.exists(key)? {
                return Err(already_exists(key));
            }
        }
        Ok(())
    }

    fn exists(&self, key: &[u8]) -> Result<bool> {
        let found = guarded(|| self.latest.get(key));
        Ok(found.map_err(|source| TitoError::Storage { operation: "commit", source })?.is_some())
    }

    /// Writes a group, and returns what timestamps it reserved.
    fn apply(&mut self, mut writes: Vec<Write>) -> StoreResult<Timestamp> {
        let reserved = lock(&self.core.head).oracle.reservation(self.core.clock.now_millis());
        if !writes.is_empty() {
            // Sorted, so that neighbours in the tree are written one after the other. No key occurs twice: members of
            // one group that share a key conflict.
            writes.sort_unstable_by(|(left, _), (right, _)| left.cmp(right));
            guarded(|| self.store.apply(writes, reserved))?;
            self.latest = guarded(|| self.store.snapshot())?;
            return Ok(reserved);
        }
        Ok(Timestamp::ZERO)
    }

    fn publish(&mut self, reserved: Timestamp, accepted: Vec<Accepted>) {
        let mut timestamps = Vec::with_capacity(accepted.len());
        let mut head = lock(&self.core.head);
        head.oracle.reserve(reserved);
        let before = head.publish(self.latest.clone(), self.group);
        let now_millis = self.core.clock.now_millis();
        for accepted in &accepted {
            head.end(accepted.start);
            // Past the reservation, which a slow disk can cause, timestamps lag behind the clock for a moment.
            let timestamp = head.oracle.next(now_millis).or_else(|| head.oracle.next(0));
            timestamps.push(timestamp.unwrap_or_else(|| head.oracle.last()));
        }
        let now = self.core.now(&head);
        let expired = head.expire(now, self.core.max_age_millis);
        let settled = head.settled_group();
        drop(head);
        // What takes time is done without the lock, which every transaction begins with.
        drop((before, expired));
        self.recent.prune(settled);
        for (accepted, timestamp) in accepted.into_iter().zip(timestamps) {
            self.core.context.wakeups.deliver(accepted.announcements);
            let _ = accepted.reply.send(Ok(timestamp));
        }
    }

    /// A group that failed in the storage may be on disk or not, so nothing is read or written until the engine is
    /// opened again.
    fn fail(&mut self, error: &BoxError, accepted: Vec<Accepted>) {
        let reason = format!("the storage failed in a commit, so the database has to be opened again: {error}");
        tracing::error!(%reason, "closing the embedded engine");
        lock(&self.core.head).close(reason.clone());
        for accepted in accepted {
            let _ = accepted.reply.send(Err(TitoError::CommitUnknown { source: reason.clone().into() }));
        }
    }

    fn reserve(&mut self) -> Result<()> {
        let reserved = {
            let head = lock(&self.core.head);
            head.check_open()?;
            let now_millis = self.core.clock.now_millis();
            if !head.oracle.is_exhausted(now_millis) {
                // Others who waited with this one were first.
                return Ok(());
            }
            head.oracle.reservation(now_millis)
        };
        match guarded(|| self.store.apply(Vec::new(), reserved)) {
            Ok(()) => {
                lock(&self.core.head).oracle.reserve(reserved);
                Ok(())
            }
            Err(source) => {
                self.fail(&source, Vec::new());
                Err(TitoError::Storage { operation: "reserving timestamps", source })
            }
        }
    }

    fn sizes(&self) -> Result<StoreSizes> {
        lock(&self.core.head).check_open()?;
        guarded(|| self.store.sizes()).map_err(|source| TitoError::Storage { operation: "reading sizes", source })
    }

    /// Closes the storage. It keeps the last timestamp in place of the reservation, so that the clock is not ahead after
    /// the next start.
    fn close(self) {
        let last = {
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
pub(super) fn guarded<T>(f: impl FnOnce() -> StoreResult<T>) -> StoreResult<T> {
    panics::caught(f).unwrap_or_else(|text| Err(format!("the storage panicked: {text}").into()))
}
