//! Pessimistic locks: taken before a commit, so that competitors wait at their own call and not at the end.
//!
//! Keys are locked in order, region by region, so that two transactions that want the same keys don't deadlock. The
//! server waits for a while. Between requests, the lock that it waited for is checked, since its holder may have died.
#[cfg(test)]
pub(crate) mod mutant;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use tito_tikv_proto::kvrpcpb::{KeyError, Mutation, Op, PessimisticLockRequest, PessimisticLockResponse};

use super::calls::Calls;
use super::{Backoff, Event, Limit, Machine, Output, Pause, Reply, Response, mismatched, unexpected};
use crate::{Error, Timestamp};

/// The longest that a request waits on the server, in milliseconds.
const WAIT_MILLIS: u64 = 1_000;

/// What to lock.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    /// The start timestamp of the transaction that will hold the locks.
    pub(crate) start: u64,
    /// Its primary: the first key that it ever locked.
    pub(crate) primary: Vec<u8>,
    /// In order, without duplicates.
    pub(crate) keys: Vec<Vec<u8>>,
    /// The newest timestamp at which others may have written the keys.
    pub(crate) for_update_ts: u64,
    /// How long the locks live, counted from the start.
    pub(crate) ttl_millis: u64,
    /// How long the acquisition may take.
    pub(crate) wait_millis: u64,
    /// Whether to return the values.
    pub(crate) values: bool,
}

/// A locked key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LockedKey {
    pub(crate) key: Vec<u8>,
    /// Its value, if it has one and it was asked for.
    pub(crate) value: Option<Vec<u8>>,
    pub(crate) exists: bool,
}

#[derive(Clone, Debug)]
enum Call {
    Locate,
    Send { count: usize },
    Pause,
    Timestamp,
    Resolve,
}

/// The machine that locks keys.
#[derive(Clone, Debug)]
pub(crate) struct Acquire<R> {
    wanted: Wanted,
    held: Vec<LockedKey>,
    calls: Calls<Call>,
    attempt: u32,
    last_error: Option<Error>,
    is_late: bool,
    is_finished: bool,
    /// The fault that a test has planted.
    #[cfg(test)]
    pub(crate) mutant: Option<mutant::AcquireMutant>,
    out: Vec<Output<R, Result<Vec<LockedKey>, Error>>>,
}

impl<R: Clone> Acquire<R> {
    pub(crate) fn new(wanted: Wanted) -> Self {
        Acquire {
            wanted,
            held: Vec::new(),
            calls: Calls::new(),
            attempt: 0,
            last_error: None,
            is_late: false,
            is_finished: false,
            #[cfg(test)]
            mutant: None,
            out: Vec::new(),
        }
    }

    fn left(&self) -> &[Vec<u8>] {
        &self.wanted.keys[self.held.len()..]
    }

    /// Asks for the next keys, or reports that there are none left.
    fn go_on(&mut self) {
        if self.left().is_empty() {
            let held = std::mem::take(&mut self.held);
            return self.end(Ok(held));
        }
        if self.is_late {
            return self.end(Err(self.late()));
        }
        let call = self.calls.open(Call::Locate);
        self.out.push(Output::Locate { call, keys: self.left().to_vec() });
    }

    fn pause(&mut self, pause: Pause) {
        if self.is_late {
            return self.end(Err(self.late()));
        }
        let pause = pause.at(self.attempt);
        self.attempt += 1;
        if pause == Pause::None {
            return self.go_on();
        }
        let call = self.calls.open(Call::Pause);
        self.out.push(Output::Pause { call, pause });
    }

    fn end(&mut self, decision: Result<Vec<LockedKey>, Error>) {
        self.is_finished = true;
        self.calls.retain(|_| false);
        self.out.push(Output::Decided(decision));
        self.out.push(Output::Finished);
    }

    fn late(&self) -> Error {
        match &self.last_error {
            Some(error @ Error::Locked { .. }) => error.clone(),
            last => Error::Deadline { call: "lock", millis: self.wanted.wait_millis, last: last.clone().map(Arc::new) },
        }
    }

    fn send(&mut self, region: R, count: usize) {
        let wanted = &self.wanted;
        let keys = &self.left()[..count];
        let lock = |key: &Vec<u8>| Mutation { op: Op::PessimisticLock.into(), key: key.clone(), ..Mutation::default() };
        let request = PessimisticLockRequest {
            mutations: keys.iter().map(lock).collect(),
            primary_lock: wanted.primary.clone(),
            start_version: wanted.start,
            lock_ttl: wanted.ttl_millis,
            for_update_ts: wanted.for_update_ts,
            is_first_lock: keys.contains(&wanted.primary),
            wait_timeout: i64::try_from(wanted.wait_millis.clamp(1, WAIT_MILLIS)).unwrap_or(1),
            return_values: wanted.values,
            check_existence: !wanted.values,
            min_commit_ts: wanted.for_update_ts + 1,
            ..PessimisticLockRequest::default()
        };
        let call = self.calls.open(Call::Send { count });
        self.out.push(Output::Send { call, region, request: request.into() });
    }

    fn answered(&mut self, count: usize, reply: Reply) {
        match reply {
            Reply::Response(Response::PessimisticLock(response)) => match response.errors.first() {
                None => self.take(count, *response),
                #[cfg(test)]
                Some(KeyError { locked: Some(_), .. })
                    if self.attempt > 0 && self.is(mutant::AcquireMutant::TakesLockOfRetryForOwn) =>
                {
                    self.take(count, PessimisticLockResponse::default());
                }
                Some(error) => self.met(error.clone(), response.errors),
            },
            Reply::Response(_) => self.end(Err(mismatched("KvPessimisticLock"))),
            #[cfg(test)]
            Reply::Unanswered { .. } if self.is(mutant::AcquireMutant::TakesSilenceForHeld) => {
                self.take(count, PessimisticLockResponse::default());
            }
            Reply::NotDone { error, pause } | Reply::Unanswered { error, pause } => {
                self.last_error = Some(error);
                self.pause(pause);
            }
            Reply::Refused { error } => self.end(Err(error)),
        }
    }

    fn take(&mut self, count: usize, response: PessimisticLockResponse) {
        let mut values = response.values.into_iter();
        let mut missing = response.not_founds.into_iter();
        let keys: Vec<Vec<u8>> = self.left()[..count].to_vec();
        for key in keys {
            let exists = !missing.next().unwrap_or(false);
            let value = values.next().filter(|_| exists && self.wanted.values);
            self.held.push(LockedKey { key, value, exists });
        }
        self.attempt = 0;
        self.go_on();
    }

    /// If one key of a request can't be locked, none is.
    fn met(&mut self, first: KeyError, errors: Vec<KeyError>) {
        if let Some(deadlock) = first.deadlock {
            let holder = Timestamp::from_raw(deadlock.lock_ts);
            return self.end(Err(Error::Deadlock { key: deadlock.lock_key.into(), holder }));
        }
        if first.conflict.is_some() {
            // Somebody has written the key since. The lock has to cover the newest version.
            let call = self.calls.open(Call::Timestamp);
            return self.out.push(Output::Timestamp { call });
        }
        let locks: Vec<_> = errors.into_iter().filter_map(|error| error.locked).collect();
        match locks.first() {
            Some(lock) => {
                let holder = Timestamp::from_raw(lock.lock_version);
                self.last_error = Some(Error::Locked { key: lock.key.clone().into(), holder });
                if self.is_late {
                    return self.end(Err(self.late()));
                }
                let call = self.calls.open(Call::Resolve);
                self.out.push(Output::Resolve { call, locks });
            }
            None => self.end(Err(unexpected("KvPessimisticLock", &first))),
        }
    }
}

impl<R: Clone> Machine<R> for Acquire<R> {
    type Decision = Result<Vec<LockedKey>, Error>;

    fn start(&mut self) -> Vec<Output<R, Self::Decision>> {
        self.out.push(Output::Limit(Limit::Call));
        self.go_on();
        std::mem::take(&mut self.out)
    }

    fn handle(&mut self, event: Event<R>) -> Vec<Output<R, Self::Decision>> {
        match event {
            Event::Deadline if !self.is_finished => {
                self.is_late = true;
                // A request under way is answered soon, and may have taken locks by then.
                if !self.calls.any(|call| matches!(call, Call::Send { .. })) {
                    let late = self.late();
                    self.end(Err(late));
                }
            }
            Event::Located { call, runs } => {
                if self.calls.take(call).is_some() {
                    match runs.map(|runs| runs.into_iter().next()) {
                        Ok(Some((region, count))) => self.send(region, count),
                        Ok(None) => unreachable!("keys were asked for, and every key that is asked for is located"),
                        #[cfg(test)]
                        Err(_) if self.is(mutant::AcquireMutant::DropsShards) => {
                            self.take(self.left().len(), PessimisticLockResponse::default());
                        }
                        Err(error) => {
                            self.last_error = Some(error);
                            self.pause(Pause::Backoff { kind: Backoff::Pd, attempt: 0 });
                        }
                    }
                }
            }
            Event::Answered { call, reply } => {
                if let Some(Call::Send { count }) = self.calls.take(call) {
                    self.answered(count, reply);
                }
            }
            Event::Timestamp { call, timestamp } => {
                if self.calls.take(call).is_some() {
                    match timestamp {
                        Ok(timestamp) => {
                            self.wanted.for_update_ts = timestamp;
                            self.go_on();
                        }
                        Err(error) => self.end(Err(error)),
                    }
                }
            }
            Event::Paused { call } => {
                if self.calls.take(call).is_some() {
                    self.go_on();
                }
            }
            Event::Resolved { call, alive } => {
                if self.calls.take(call).is_some() {
                    match alive {
                        Ok(alive) if alive.is_empty() => self.go_on(),
                        Ok(_) => self.pause(Pause::Backoff { kind: Backoff::Lock, attempt: 0 }),
                        Err(error) => {
                            self.last_error = Some(error);
                            self.pause(Pause::Backoff { kind: Backoff::Lock, attempt: 0 });
                        }
                    }
                }
            }
            Event::Deadline => {}
        }
        std::mem::take(&mut self.out)
    }
}
