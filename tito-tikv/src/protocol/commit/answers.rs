//! What the answers of the two phases mean.
use tito_tikv_proto::kvrpcpb::{KeyError, LockInfo, write_conflict};

use super::{Batch, Call, Commit, Phase, Step};
use crate::protocol::{Alive, Backoff, Output, Pause, Reply, Response, mismatched, unexpected};
use crate::{Error, Reason, Timestamp};

/// That a lock was in the way.
pub(super) fn locked_by(lock: &LockInfo) -> Reason {
    Reason::Locked { key: lock.key.clone().into(), holder: Timestamp::from_raw(lock.lock_version) }
}

/// What a key's error means to a prewrite.
enum Met {
    /// A lock of another transaction, to be resolved.
    Lock(Box<LockInfo>),
    /// The end of the commit.
    Reason(Reason),
}

impl<R: Clone> Commit<R> {
    pub(super) fn prewrite_answered(&mut self, batch: Batch<R, Step>, reply: Reply) {
        let errors = match reply {
            Reply::Response(Response::Prewrite(response)) if response.errors.is_empty() => {
                for key in &batch.keys {
                    self.keys[*key].prewritten = true;
                    self.keys[*key].may_be_prewritten = false;
                }
                return;
            }
            #[cfg(test)]
            Reply::Response(Response::Prewrite(response)) if self.takes_for_own(batch.attempt, &response.errors) => {
                for key in &batch.keys {
                    self.keys[*key].prewritten = true;
                }
                return;
            }
            Reply::Response(Response::Prewrite(response)) => response.errors,
            Reply::Response(_) => return self.fail(Reason::Failed(mismatched("KvPrewrite"))),
            Reply::NotDone { error, pause } => return self.prewrite_again(batch, error, pause),
            Reply::Unanswered { error, pause } => {
                for key in &batch.keys {
                    self.keys[*key].may_be_prewritten = true;
                }
                return self.prewrite_again(batch, error, pause);
            }
            Reply::Refused { error } => return self.fail(Reason::Failed(error)),
        };
        // A request writes all of its keys or none, so this attempt has left nothing.
        let mut locks = Vec::new();
        for error in errors {
            match met(error) {
                Met::Lock(lock) => locks.push(*lock),
                Met::Reason(reason) => return self.fail(reason),
            }
        }
        if let Phase::Prewriting = self.phase {
            self.last_lock = locks.first().cloned();
            self.last_error = None;
            let call =
                self.calls.open(Call::Resolve { keys: batch.keys, attempt: batch.attempt, locks: locks.clone() });
            self.out.push(Output::Resolve { call, locks });
        }
    }

    fn prewrite_again(&mut self, batch: Batch<R, Step>, error: Error, pause: Pause) {
        if let Phase::Prewriting = self.phase {
            self.failed_once(error);
            self.ask_after(pause, Step::Prewrite, batch.keys, batch.attempt + 1);
        }
    }

    /// The locks that a prewrite met are gone, but for those of transactions that live.
    ///
    /// A transaction that began later will commit later than this one's start, if it commits: there is nothing to wait
    /// for. So only younger ones wait for older ones, and no two for each other, as in client-go's
    /// `txnkv/transaction/prewrite.go`.
    pub(super) fn resolved(
        &mut self,
        keys: Vec<usize>,
        attempt: u32,
        locks: &[LockInfo],
        alive: Result<Vec<Alive>, Error>,
    ) {
        if let Ok(alive) = &alive
            && let Some(later) = alive.iter().find(|alive| alive.start > self.plan.start)
            && let Some(lock) = locks.iter().find(|lock| lock.lock_version == later.start)
        {
            return self.fail(locked_by(lock));
        }
        let left = alive.map(|alive| alive.iter().map(|alive| alive.left_millis).max());
        let backoff = Pause::Backoff { kind: Backoff::Lock, attempt };
        let pause = match left {
            // Don't ask for a contended key at full speed for ever.
            Ok(None) if attempt < 3 => Pause::None,
            Ok(Some(left)) if left < 20 => Pause::Millis(left + 1),
            Ok(_) => backoff,
            Err(error) if error.can_retry_help() => {
                self.last_error = Some(error);
                backoff
            }
            Err(error) => return self.fail(Reason::Failed(error)),
        };
        self.ask_after(pause, Step::Prewrite, keys, attempt + 1);
    }

    pub(super) fn primary_answered(&mut self, batch: Batch<R, Step>, reply: Reply) {
        if let Reply::Response(Response::Commit(response)) = &reply
            && response.error.is_none()
        {
            return self.committed(self.commit_ts, &batch.keys);
        }
        if !matches!(self.phase, Phase::CommittingPrimary) {
            // The primary is being settled, and its answer will say what became of it.
            return;
        }
        match reply {
            Reply::Response(Response::Commit(response)) => {
                let error = response.error.unwrap_or_default();
                if error.commit_ts_expired.is_some() {
                    // A reader has pushed the transaction behind its snapshot. The lock is there and only takes later
                    // timestamps, so no commit at this one can be carried out any more, even one that was sent before.
                    self.may_be_committed = false;
                    return self.ask_timestamp(batch.attempt);
                }
                self.may_be_committed = true;
                let reason = if error.txn_lock_not_found.is_some() || error.retryable.contains("TxnLockNotFound") {
                    Reason::RolledBack
                } else {
                    Reason::Failed(unexpected("KvCommit", &error))
                };
                self.stop_committing(reason);
            }
            Reply::Response(_) => {
                self.may_be_committed = true;
                self.stop_committing(Reason::Failed(mismatched("KvCommit")));
            }
            Reply::NotDone { error, pause } => {
                self.failed_once(error);
                self.ask_after(pause, Step::Primary, batch.keys, batch.attempt + 1);
            }
            #[cfg(test)]
            Reply::Unanswered { error, .. } if self.takes_silence_for_failure() => self.fail(Reason::Failed(error)),
            Reply::Unanswered { error, pause } => {
                self.may_be_committed = true;
                self.failed_once(error);
                self.ask_after(pause, Step::Primary, batch.keys, batch.attempt + 1);
            }
            Reply::Refused { error } => self.stop_committing(Reason::Failed(error)),
        }
    }

    /// The transaction is committed whatever comes here. Whoever meets a remaining lock resolves it.
    pub(super) fn secondaries_answered(&mut self, batch: Batch<R, Step>, reply: Reply) {
        match reply {
            Reply::Response(Response::Commit(response)) => {
                if let Some(error) = response.error {
                    let start = self.plan.start;
                    tracing::error!(start, ?error, "a key of a committed transaction could not be committed");
                }
            }
            Reply::NotDone { pause, .. } | Reply::Unanswered { pause, .. } => {
                self.ask_after(pause, Step::Secondaries, batch.keys, batch.attempt + 1);
            }
            Reply::Response(_) | Reply::Refused { .. } => {
                tracing::warn!(
                    start = self.plan.start,
                    "locks of a committed transaction are left to whoever meets them"
                );
            }
        }
    }
}

fn met(error: KeyError) -> Met {
    if let Some(lock) = error.locked {
        return Met::Lock(Box::new(lock));
    }
    if let Some(conflict) = &error.conflict {
        if conflict.reason() == write_conflict::Reason::SelfRolledBack {
            return Met::Reason(Reason::RolledBack);
        }
        return Met::Reason(Reason::Conflict {
            key: conflict.key.clone().into(),
            by: Timestamp::from_raw(conflict.conflict_ts),
            at: Timestamp::from_raw(conflict.conflict_commit_ts),
        });
    }
    if let Some(existing) = error.already_exist {
        return Met::Reason(Reason::Exists { key: existing.key.into() });
    }
    Met::Reason(Reason::Failed(unexpected("KvPrewrite", &error)))
}
