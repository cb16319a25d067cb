//! The one thread that commits. Whatever waits for it when it comes round becomes one group with one fsync: there is no
//! timer, the time that the last group took is the window in which the next one gathers.

mod without_space;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use super::Core;
use super::hash::KeyHash;
use super::head::lock;
use super::opening::storage_failed;
use super::oracle::LEFT_TO_COMMITS;
use super::recent::RecentCommits;
use super::storage::is_full;
use super::store::{Admission, AppendError, Snapshot, Store, StoreSizes, Write};
use super::transaction::{Inner, closed};
use crate::engine::{Mutation, Signals};
use crate::error::{KeyText, Result, SharedError, TitoError};
use crate::panics;
use crate::timestamp::Timestamp;

/// Bounds of one group: more waits for the next one, so that neither latency nor memory grows with the load.
const MOST_TRANSACTIONS: usize = LEFT_TO_COMMITS as usize;
const MOST_BYTES: usize = 16 << 20;

/// How far ahead timestamps are reserved. After a crash, timestamps go on from the reservation, so the engine's clock
/// can stand this much ahead of the machine's until that has caught up.
const RESERVED_AHEAD: Duration = Duration::from_secs(1);

/// As [`RESERVED_AHEAD`], where there is hardly space to write reservations down.
const RESERVED_FAR_AHEAD: Duration = Duration::from_secs(10);

/// As [`RESERVED_AHEAD`], on the slowest disk.
const RESERVED_AT_MOST: Duration = Duration::from_secs(60);

/// How many requests can wait.
pub(super) const QUEUE: usize = 4_096;

pub(super) enum Request {
    Commit(CommitRequest),
    /// Reserve more timestamps.
    Reserve(oneshot::Sender<Result<()>>),
    /// A flush has ended.
    Maintain,
    Sizes(oneshot::Sender<Result<StoreSizes>>),
    /// Release the storage.
    Close(oneshot::Sender<()>),
}

/// A transaction to be committed.
pub(super) struct CommitRequest {
    /// Held until the commit is answered, whatever becomes of the caller: until then the transaction counts as live, as
    /// its commit can still land.
    pub(super) transaction: Arc<Inner>,
    /// The hashes are computed in the caller's task, so that the committer need not.
    pub(super) writes: Vec<(KeyHash, Vec<u8>, Mutation)>,
    pub(super) locks: Vec<(KeyHash, Vec<u8>)>,
    pub(super) bytes: usize,
    pub(super) signals: Signals,
    pub(super) reply: oneshot::Sender<Result<Timestamp>>,
}

impl CommitRequest {
    fn keys(&self) -> impl Iterator<Item = (KeyHash, &[u8])> {
        let written = self.writes.iter().map(|(hash, key, _)| (*hash, key.as_slice()));
        written.chain(self.locks.iter().map(|(hash, key)| (*hash, key.as_slice())))
    }
}

/// A transaction that may commit.
struct Accepted {
    transaction: Arc<Inner>,
    writes: Vec<Write>,
    bytes: usize,
    signals: Signals,
    reply: oneshot::Sender<Result<Timestamp>>,
}

impl Accepted {
    fn answer(self, result: Result<Timestamp>) {
        let Self { transaction, reply, .. } = self;
        // It is no longer live before the caller hears of it.
        transaction.release();
        let _ = reply.send(result);
    }
}

/// What came of a group, or of its parts.
#[derive(Default)]
struct Outcome {
    appended: Vec<Accepted>,
    /// What the appended parts have reserved.
    reserved: Option<Timestamp>,
    refused: Vec<(Vec<Accepted>, io::Error)>,
    lost: Option<(Vec<Accepted>, io::Error)>,
}

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

    /// Returns whom to tell that the storage is released.
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

    fn commit(&mut self, waiting: Vec<CommitRequest>) {
        let group = self.group + 1;
        let mut accepted = Vec::with_capacity(waiting.len());
        for (request, admitted) in self.admit(waiting) {
            // A caller that is gone has cancelled its commit.
            if request.reply.is_closed() {
                // Though there may be handles of the transaction left.
                request.transaction.release();
                continue;
            }
            if let Err(error) = admitted.and_then(|()| self.check(&request)) {
                let CommitRequest { transaction, reply, .. } = request;
                transaction.release();
                let _ = reply.send(Err(error));
                continue;
            }
            for (hash, _) in request.keys() {
                self.recent.note(hash, group);
            }
            let CommitRequest { transaction, writes, bytes, signals, reply, .. } = request;
            let writes = writes.into_iter().map(|(_, key, mutation)| (key, mutation.value)).collect();
            accepted.push(Accepted { transaction, writes, bytes, signals, reply });
        }
        if accepted.is_empty() {
            return;
        }
        self.group = group;
        let mut outcome = Outcome::default();
        if let Some((group, error)) = self.append(accepted, Admission::Ordinary, &mut outcome) {
            self.without_space(group, error, &mut outcome);
        }
        self.finish(outcome);
        self.maintain();
    }

    /// Finds out for all at once, as it takes the head's lock, which transactions are still alive.
    fn admit(&self, waiting: Vec<CommitRequest>) -> Vec<(CommitRequest, Result<()>)> {
        let mut head = lock(&self.core.head);
        let expired = head.expire(self.core.clock.monotonic_millis(), self.core.max_age_millis);
        let admit = |request: CommitRequest| {
            let admitted = head.check_open().and_then(|()| {
                if head.admit(request.transaction.start) {
                    Ok(())
                } else {
                    Err(self.core.too_old(request.transaction.began_millis))
                }
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
            if self.recent.is_newer_than(hash, request.transaction.group) {
                return Err(TitoError::Conflict { key: KeyText::from(key) });
            }
        }
        // Without a conflict the latest state of these keys is the one that the transaction saw.
        for (_, key, mutation) in &request.writes {
            if mutation.must_be_new && self.latest(key)?.is_some() {
                return Err(TitoError::AlreadyExists { key: key.as_slice().into() });
            }
        }
        Ok(())
    }

    /// What a key is now.
    fn latest(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        guarded(|| self.latest.get(key)).map_err(|source| storage_failed("commit", source))
    }

    /// Appends a group, or the part of one, and notes what came of it. Returns it if there is no space for it, with
    /// nothing done.
    fn append(
        &mut self,
        mut group: Vec<Accepted>,
        admission: Admission,
        outcome: &mut Outcome,
    ) -> Option<(Vec<Accepted>, io::Error)> {
        let (reserved, is_exhausted) = {
            let mut head = lock(&self.core.head);
            let now = head.now(&*self.core.clock);
            let reserved = head.oracle.reservation(now.millis(), self.reserve_ahead());
            (reserved, head.oracle.is_exhausted_for_commits())
        };
        let count = group.iter().map(|accepted| accepted.writes.len()).sum();
        // Nothing is written for locks alone, unless there are too few timestamps for them.
        if count == 0 && !is_exhausted {
            outcome.appended.extend(group);
            return None;
        }
        let bytes = group.iter().map(|accepted| accepted.bytes).sum();
        if let Err(error) = guarded(|| self.store.make_room(count, bytes, admission)) {
            return Some((group, error));
        }
        let mut writes: Vec<Write> = Vec::with_capacity(count);
        group.iter_mut().for_each(|accepted| writes.append(&mut accepted.writes));
        // Sorted, so that neighbours in the tree are written one after the other. No key occurs twice: members of one
        // group that share a key conflict.
        writes.sort_unstable_by(|(left, _), (right, _)| left.cmp(right));
        match self.append_measured(writes, reserved, admission) {
            Ok(()) => {
                outcome.reserved = outcome.reserved.max(Some(reserved));
                outcome.appended.extend(group);
            }
            Err(AppendError::Refused(error)) => outcome.refused.push((group, error)),
            Err(AppendError::Lost(error)) => outcome.lost = Some((group, error)),
        }
        None
    }

    /// Makes what was appended visible, all of it in one step, and answers all.
    fn finish(&mut self, outcome: Outcome) {
        let Outcome { appended, reserved, refused, lost } = outcome;
        if appended.is_empty() {
            // The keys of those that were refused were noted all the same, so whoever begins from now on has to be past
            // them.
            let (before, settled) = {
                let mut head = lock(&self.core.head);
                (head.publish(self.latest.clone(), self.group), head.settled_group())
            };
            drop(before);
            self.recent.prune(settled);
        } else {
            self.publish(reserved, appended);
        }
        for (group, error) in refused {
            refuse(group, error);
        }
        if let Some((group, error)) = lost {
            // It may be on disk or not, so nothing is read or written until the engine is opened again.
            let reason = format!("the storage failed in a commit, so the database has to be opened again: {error}");
            self.core.fail(reason.clone());
            for accepted in group {
                accepted.answer(Err(TitoError::CommitUnknown { source: reason.clone().into() }));
            }
        }
    }

    /// Makes a group visible that was appended, with what was reserved in that.
    fn publish(&mut self, reserved: Option<Timestamp>, group: Vec<Accepted>) {
        self.latest = self.store.snapshot();
        let mut timestamps = Vec::with_capacity(group.len());
        let mut head = lock(&self.core.head);
        if let Some(reserved) = reserved {
            head.oracle.reserve(reserved);
        }
        let before = head.publish(self.latest.clone(), self.group);
        let now = head.now(&*self.core.clock);
        for accepted in &group {
            accepted.transaction.release_in(&mut head);
            timestamps.push(head.oracle.next_of_commit(now.millis()));
        }
        let expired = head.expire(self.core.clock.monotonic_millis(), self.core.max_age_millis);
        let settled = head.settled_group();
        drop(head);
        // What takes time is done without the lock, which every transaction begins with.
        drop((before, expired));
        self.recent.prune(settled);
        for (accepted, timestamp) in group.into_iter().zip(timestamps) {
            self.core.shared.deliver(accepted.signals, timestamp);
            let _ = accepted.reply.send(Ok(timestamp));
        }
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

    /// How far ahead timestamps are reserved: further where there is hardly space to write reservations down, and where
    /// the disk is so slow that they would be over before they are written.
    fn reserve_ahead(&self) -> Duration {
        let least = if self.store.is_short_of_space() { RESERVED_FAR_AHEAD } else { RESERVED_AHEAD };
        least.max(self.last_append.saturating_mul(4)).min(RESERVED_AT_MOST)
    }

    fn append_measured(
        &mut self,
        writes: Vec<Write>,
        reserved: Timestamp,
        admission: Admission,
    ) -> std::result::Result<(), AppendError> {
        let began_millis = self.core.clock.monotonic_millis();
        let appended = guarded(|| self.store.append(writes, reserved, admission));
        self.last_append = Duration::from_millis(self.core.clock.monotonic_millis().saturating_sub(began_millis));
        appended
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

    fn reserve(&mut self) -> Result<()> {
        let reserved = {
            let mut head = lock(&self.core.head);
            head.check_open()?;
            let now_millis = head.now(&*self.core.clock).millis();
            if !head.oracle.is_exhausted(now_millis) {
                // Others who waited with this one were first.
                return Ok(());
            }
            head.oracle.reservation(now_millis, self.reserve_ahead())
        };
        match self.append_measured(Vec::new(), reserved, Admission::Timestamps) {
            Ok(()) => {
                lock(&self.core.head).oracle.reserve(reserved);
                Ok(())
            }
            Err(AppendError::Refused(error)) => Err(storage_failed("reserving timestamps", error.into())),
            Err(AppendError::Lost(error)) => {
                let reason = format!(
                    "the storage failed in reserving timestamps, so the database has to be opened again: {error}"
                );
                self.core.fail(reason);
                Err(closed(&self.core))
            }
        }
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

/// Tells all members of a group that the storage did not take it.
fn refuse(group: Vec<Accepted>, error: io::Error) {
    let is_full = is_full(&error);
    let error = SharedError::from(error);
    for accepted in group {
        let (operation, source) = ("commit", error.clone());
        accepted.answer(Err(if is_full {
            TitoError::StorageFull { operation, source }
        } else {
            TitoError::Storage { operation, source }
        }));
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
