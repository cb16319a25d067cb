//! A group of commits: checked, appended and made visible together.

use std::io;
use std::sync::Arc;

use tokio::sync::oneshot;

use super::{CommitRequest, Committer, guarded};
use crate::embedded::head::lock;
use crate::embedded::opening::storage_failed;
use crate::embedded::storage::is_full;
use crate::embedded::store::{Admission, AppendError, Write};
use crate::embedded::transaction::Inner;
use crate::engine::Signals;
use crate::error::{KeyText, Result, SharedError, TitoError};
use crate::timestamp::Timestamp;

/// A transaction that may commit.
pub(super) struct Accepted {
    transaction: Arc<Inner>,
    pub(super) writes: Vec<Write>,
    pub(super) bytes: usize,
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
pub(super) struct Outcome {
    appended: Vec<Accepted>,
    /// What the appended parts have reserved.
    reserved: Option<Timestamp>,
    pub(super) refused: Vec<(Vec<Accepted>, io::Error)>,
    pub(super) lost: Option<(Vec<Accepted>, io::Error)>,
}

impl Committer {
    pub(super) fn commit(&mut self, waiting: Vec<CommitRequest>) {
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
    pub(super) fn append(
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
        // group that share a key conflict. Each member's writes are sorted already, and the stable sort merges them.
        writes.sort_by(|(left, _), (right, _)| left.cmp(right));
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
