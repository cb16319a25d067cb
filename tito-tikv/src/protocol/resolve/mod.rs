//! What became of another transaction whose locks are in the way, and their removal.
//!
//! The primary's region says whether the transaction is committed, rolled back or alive, and rolls it back if it has
//! expired. If the primary isn't there at all, it is rolled back only if the lock that was met has expired too. A
//! transaction with asynchronous commit is committed as soon as all its keys are prewritten, so once it has expired,
//! the other keys are asked. Nothing is rolled back before its time to live is over on PD's clock.
mod asked;
mod secondaries;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use tito_tikv_proto::kvrpcpb::{
    Action, CheckSecondaryLocksRequest, CheckTxnStatusRequest, CheckTxnStatusResponse, LockInfo,
    PessimisticRollbackRequest, ResolveLockRequest,
};

use super::calls::Calls;
use super::keys::{AT_ONCE, Batch, Queue};
use super::{Backoff, Event, Limit, Machine, Output, Pause, Reply, Request, Response, mismatched, unexpected};
use crate::{Error, Timestamp};

pub(crate) use asked::{Asked, Status};

/// With this many keys of a transaction or more, all its locks in a region are resolved at once.
const LARGE: u64 = 16;

/// What a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// Ask the primary about the transaction.
    Status,
    /// Ask the other keys about it.
    Secondaries,
    /// Give its locks the fate of the transaction.
    Resolve,
    /// Remove its pessimistic locks.
    Release,
}

#[derive(Clone, Debug)]
enum Call<R> {
    Locate { step: Step, keys: Vec<usize>, attempt: u32 },
    Send(Batch<R, Step>),
    Pause { step: Step, keys: Vec<usize>, attempt: u32 },
}

/// The machine that resolves the locks of one transaction.
#[derive(Clone, Debug)]
pub(crate) struct Resolve<R> {
    asked: Asked,
    /// All relevant keys; a key's index is its number.
    keys: Vec<Vec<u8>>,
    primary: usize,
    /// The keys of the locks that were met, by kind.
    prewritten: Vec<usize>,
    pessimistic: Vec<usize>,
    calls: Calls<Call<R>>,
    queue: Queue<R, Step>,
    /// Whether to treat a transaction that seems to commit asynchronously as one in two phases.
    force_sync_commit: bool,
    /// The highest minimum commit timestamp of an asynchronous commit.
    min_commit_ts: u64,
    status: Option<Status>,
    last_error: Option<Error>,
    is_finished: bool,
    out: Vec<Output<R, Result<Status, Error>>>,
}

impl<R: Clone> Resolve<R> {
    pub(crate) fn new(asked: Asked) -> Self {
        let mut keys: BTreeSet<Vec<u8>> = asked.locks.iter().map(|lock| lock.key.clone()).collect();
        keys.insert(asked.primary.clone());
        let keys: Vec<Vec<u8>> = keys.into_iter().collect();
        let mut machine = Resolve {
            primary: 0,
            prewritten: Vec::new(),
            pessimistic: Vec::new(),
            keys,
            calls: Calls::new(),
            queue: Queue::new(),
            force_sync_commit: false,
            min_commit_ts: 0,
            status: None,
            last_error: None,
            is_finished: false,
            out: Vec::new(),
            asked,
        };
        machine.number_keys(BTreeSet::new());
        machine
    }

    /// Numbers all keys, including these additional ones.
    fn number_keys(&mut self, more: BTreeSet<Vec<u8>>) {
        let all: BTreeSet<Vec<u8>> = std::mem::take(&mut self.keys).into_iter().chain(more).collect();
        self.keys = all.into_iter().collect();
        let number = |key: &[u8]| self.keys.partition_point(|other| other.as_slice() < key);
        let of_kind = |pessimistic: bool| {
            let locks = self.asked.locks.iter().filter(|lock| asked::is_pessimistic(lock) == pessimistic);
            locks.map(|lock| number(&lock.key)).collect::<BTreeSet<usize>>().into_iter().collect()
        };
        (self.prewritten, self.pessimistic) = (of_kind(false), of_kind(true));
        self.primary = number(&self.asked.primary);
    }

    fn ask(&mut self, step: Step, keys: Vec<usize>, attempt: u32) {
        if keys.is_empty() {
            return;
        }
        let located = keys.iter().map(|key| self.keys[*key].clone()).collect();
        let call = self.calls.open(Call::Locate { step, keys, attempt });
        self.out.push(Output::Locate { call, keys: located });
    }

    fn ask_after(&mut self, pause: Pause, step: Step, keys: Vec<usize>, attempt: u32) {
        let pause = pause.at(attempt);
        if pause == Pause::None {
            return self.ask(step, keys, attempt);
        }
        let call = self.calls.open(Call::Pause { step, keys, attempt });
        self.out.push(Output::Pause { call, pause });
    }

    fn request(&self, batch: &Batch<R, Step>) -> Request {
        let asked = &self.asked;
        let keys: Vec<Vec<u8>> = batch.keys.iter().map(|key| self.keys[*key].clone()).collect();
        match batch.step {
            Step::Status => CheckTxnStatusRequest {
                primary_key: asked.primary.clone(),
                lock_ts: asked.start,
                caller_start_ts: asked.caller_start,
                current_ts: asked.now,
                rollback_if_not_exist: asked.is_expired(),
                force_sync_commit: self.force_sync_commit,
                resolving_pessimistic_lock: self.prewritten.is_empty(),
                verify_is_primary: true,
                ..CheckTxnStatusRequest::default()
            }
            .into(),
            Step::Secondaries => {
                CheckSecondaryLocksRequest { keys, start_version: asked.start, ..CheckSecondaryLocksRequest::default() }
                    .into()
            }
            Step::Resolve => ResolveLockRequest {
                start_version: asked.start,
                commit_version: self.status.and_then(Status::commit_ts).unwrap_or(0),
                keys: if asked.locks.iter().any(|lock| lock.txn_size >= LARGE) { Vec::new() } else { keys },
                ..ResolveLockRequest::default()
            }
            .into(),
            Step::Release => PessimisticRollbackRequest {
                start_version: asked.start,
                for_update_ts: asked.for_update_ts(),
                keys,
                ..PessimisticRollbackRequest::default()
            }
            .into(),
        }
    }

    fn go_on(&mut self) {
        while self.calls.count(|call| matches!(call, Call::Send(_))) < AT_ONCE {
            let Some(batch) = self.queue.next() else { break };
            let (region, request) = (batch.region.clone(), self.request(&batch));
            let call = self.calls.open(Call::Send(batch));
            self.out.push(Output::Send { call, region, request });
        }
        if !self.is_finished && self.status.is_some() && !self.calls.any(|_| true) {
            self.finish();
        }
    }

    fn finish(&mut self) {
        self.is_finished = true;
        self.calls.retain(|_| false);
        self.queue.clear();
        self.out.push(Output::Finished);
    }

    /// Reports the failure even if the transaction's fate is known: its locks may still be there.
    fn fail(&mut self, error: Error) {
        self.out.push(Output::Decided(Err(error)));
        self.finish();
    }

    /// The transaction's fate is known: its locks go, if it has ended.
    fn decide(&mut self, status: Status) {
        self.status = Some(status);
        self.out.push(Output::Decided(Ok(status)));
        match status {
            Status::Committed(_) | Status::RolledBack => {
                self.ask(Step::Resolve, self.prewritten.clone(), 0);
                self.ask(Step::Release, self.pessimistic.clone(), 0);
            }
            Status::Released => self.ask(Step::Release, self.pessimistic.clone(), 0),
            Status::Pushed | Status::Alive { .. } => {}
        }
    }

    fn answered(&mut self, batch: Batch<R, Step>, reply: Reply) {
        let response = match reply {
            Reply::Response(response) => response,
            Reply::NotDone { error, pause } | Reply::Unanswered { error, pause } => {
                self.last_error = Some(error);
                return self.ask_after(pause, batch.step, batch.keys, batch.attempt + 1);
            }
            Reply::Refused { error } => return self.fail(error),
        };
        match (batch.step, response) {
            (Step::Status, Response::CheckTxnStatus(response)) => self.status_answered(*response),
            (Step::Secondaries, Response::CheckSecondaryLocks(response)) => {
                self.secondaries_answered(&batch.keys, *response);
            }
            (Step::Resolve, Response::ResolveLock(response)) => {
                if let Some(error) = response.error {
                    self.fail(unexpected("KvResolveLock", &error));
                }
            }
            (Step::Release, Response::PessimisticRollback(response)) => {
                if let Some(error) = response.errors.first() {
                    self.fail(unexpected("KVPessimisticRollback", error));
                }
            }
            _ => self.fail(mismatched("a request about locks")),
        }
    }

    fn status_answered(&mut self, response: CheckTxnStatusResponse) {
        if let Some(error) = &response.error {
            return match () {
                // The primary isn't there yet, and the lock hasn't expired.
                () if error.txn_not_found.is_some() => {
                    self.decide(Status::Alive { left_millis: self.asked.left_millis() });
                }
                // The lock that was met is from an earlier attempt of the transaction, with another primary.
                () if error.primary_mismatch.is_some() && self.prewritten.is_empty() => self.decide(Status::Released),
                () => self.fail(unexpected("KvCheckTxnStatus", error)),
            };
        }
        if response.lock_ttl == 0 {
            let ended = match (response.commit_version, response.action()) {
                (0, Action::TtlExpirePessimisticRollback | Action::LockNotExistDoNothing) => Status::Released,
                (0, _) => Status::RolledBack,
                (commit_ts, _) => Status::Committed(commit_ts),
            };
            return self.decide(ended);
        }
        let left_millis = asked::left_millis(self.asked.start, response.lock_ttl, self.asked.now);
        let pushed = self.asked.is_read && response.action() == Action::MinCommitTsPushed;
        match response.lock_info {
            Some(lock) if lock.use_async_commit && !self.force_sync_commit && left_millis == 0 => {
                self.ask_secondaries(lock);
            }
            _ if pushed => self.decide(Status::Pushed),
            _ => self.decide(Status::Alive { left_millis }),
        }
    }

    fn late(&self) -> Error {
        let last = self.last_error.clone().map(std::sync::Arc::new);
        Error::Deadline { call: "resolve", millis: self.asked.deadline_millis, last }
    }
}

impl<R: Clone> Machine<R> for Resolve<R> {
    type Decision = Result<Status, Error>;

    fn start(&mut self) -> Vec<Output<R, Self::Decision>> {
        self.out.push(Output::Limit(Limit::Call));
        match self.asked.known {
            Some(status) => self.decide(status),
            None => self.ask(Step::Status, vec![self.primary], 0),
        }
        self.go_on();
        std::mem::take(&mut self.out)
    }

    fn handle(&mut self, event: Event<R>) -> Vec<Output<R, Self::Decision>> {
        match event {
            Event::Deadline if !self.is_finished => self.fail(self.late()),
            Event::Located { call, runs } => {
                if let Some(Call::Locate { step, keys, attempt }) = self.calls.take(call) {
                    match runs {
                        Ok(runs) => {
                            let all = &self.keys;
                            self.queue.add(step, &keys, runs, attempt, |key| all[key].len());
                        }
                        Err(error) => {
                            self.last_error = Some(error);
                            let pause = Pause::Backoff { kind: Backoff::Pd, attempt };
                            self.ask_after(pause, step, keys, attempt + 1);
                        }
                    }
                }
            }
            Event::Answered { call, reply } => {
                if let Some(Call::Send(batch)) = self.calls.take(call) {
                    self.answered(batch, reply);
                }
            }
            Event::Paused { call } => {
                if let Some(Call::Pause { step, keys, attempt }) = self.calls.take(call) {
                    self.ask(step, keys, attempt);
                }
            }
            Event::Timestamp { .. } | Event::Resolved { .. } | Event::Deadline => {}
        }
        self.go_on();
        std::mem::take(&mut self.out)
    }
}

/// The lowest commit timestamp that a lock allows.
fn min_commit_ts(lock: &LockInfo) -> u64 {
    lock.min_commit_ts.max(Timestamp::from_raw(lock.lock_version).raw() + 1)
}
