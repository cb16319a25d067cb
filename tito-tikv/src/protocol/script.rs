//! A machine driven by hand.
#![allow(clippy::panic)]
use std::collections::VecDeque;
use std::fmt::Debug;
use std::sync::Arc;

use tito_tikv_proto::kvrpcpb::LockInfo;
use tonic::Status;

use super::{Alive, Backoff, CallId, Event, Limit, Machine, Output, Pause, Reply, Request, Response};
use crate::Error;

/// A machine whose regions have one-letter names, and those of its requests that haven't been looked at yet.
pub(crate) struct Script<M: Machine<char>> {
    machine: M,
    out: VecDeque<Output<char, M::Decision>>,
}

impl<M: Machine<char>> Script<M>
where
    M::Decision: Debug,
{
    pub(crate) fn new(mut machine: M) -> Self {
        let out = machine.start().into();
        Script { machine, out }
    }

    pub(crate) fn happen(&mut self, event: Event<char>) -> &mut Self {
        self.out.extend(self.machine.handle(event));
        self
    }

    fn take<T>(&mut self, what: &str, mut pick: impl FnMut(&Output<char, M::Decision>) -> Option<T>) -> T {
        let found = self.out.iter().enumerate().find_map(|(position, output)| Some((position, pick(output)?)));
        match found {
            Some((position, found)) => {
                self.out.remove(position);
                found
            }
            None => panic!("expected {what}, found {:?}", self.out),
        }
    }

    /// Answers the oldest look-up: each run is a region and its number of keys.
    pub(crate) fn locate(&mut self, runs: &[(char, usize)]) -> &mut Self {
        let call = self.take("a look-up", |output| match output {
            Output::Locate { call, .. } => Some(*call),
            _ => None,
        });
        self.happen(Event::Located { call, runs: Ok(runs.to_vec()) })
    }

    pub(crate) fn fail_to_locate(&mut self) -> &mut Self {
        let call = self.take("a look-up", |output| match output {
            Output::Locate { call, .. } => Some(*call),
            _ => None,
        });
        self.happen(Event::Located { call, runs: Err(unanswered()) })
    }

    /// The oldest request.
    pub(crate) fn sent(&mut self) -> (CallId, char, Request) {
        self.take("a request", |output| match output {
            Output::Send { call, region, request } => Some((*call, *region, request.clone())),
            _ => None,
        })
    }

    /// Answers the oldest request.
    pub(crate) fn answer(&mut self, response: impl Into<Response>) -> &mut Self {
        let (call, ..) = self.sent();
        self.reply(call, Reply::Response(response.into()))
    }

    /// Fails the oldest request.
    pub(crate) fn lose(&mut self) -> &mut Self {
        let (call, ..) = self.sent();
        self.reply(call, lost())
    }

    pub(crate) fn reply(&mut self, call: CallId, reply: Reply) -> &mut Self {
        self.happen(Event::Answered { call, reply })
    }

    pub(crate) fn timestamp(&mut self, timestamp: u64) -> &mut Self {
        let call = self.take("a question for the time", |output| match output {
            Output::Timestamp { call } => Some(*call),
            _ => None,
        });
        self.happen(Event::Timestamp { call, timestamp: Ok(timestamp) })
    }

    /// Ends all pauses other than those between heartbeats, of which there has to be one.
    pub(crate) fn wait(&mut self) -> &mut Self {
        let pauses: Vec<CallId> = self
            .out
            .iter()
            .filter_map(|output| match output {
                Output::Pause { call, pause } if *pause != Pause::Millis(1_000) => Some(*call),
                _ => None,
            })
            .collect();
        assert!(!pauses.is_empty(), "expected a pause, found {:?}", self.out);
        self.out.retain(|output| !matches!(output, Output::Pause { call, .. } if pauses.contains(call)));
        for call in pauses {
            self.happen(Event::Paused { call });
        }
        self
    }

    pub(crate) fn wait_for_heart_beat(&mut self) -> &mut Self {
        let call = self.take("the next heartbeat", |output| match output {
            Output::Pause { call, pause: Pause::Millis(1_000) } => Some(*call),
            _ => None,
        });
        self.happen(Event::Paused { call })
    }

    /// Reports that the locks in the way are gone.
    pub(crate) fn resolve(&mut self) -> Vec<LockInfo> {
        self.resolve_but(Vec::new())
    }

    /// Reports that of the locks in the way those of these transactions stay.
    pub(crate) fn resolve_but(&mut self, alive: Vec<Alive>) -> Vec<LockInfo> {
        let (call, locks) = self.take("locks to resolve", |output| match output {
            Output::Resolve { call, locks } => Some((*call, locks.clone())),
            _ => None,
        });
        self.happen(Event::Resolved { call, alive: Ok(alive) });
        locks
    }

    pub(crate) fn deadline(&mut self) -> &mut Self {
        self.happen(Event::Deadline)
    }

    /// The most recent limit.
    pub(crate) fn limit(&mut self) -> Limit {
        let mut last = None;
        self.out.retain(|output| match output {
            Output::Limit(limit) => {
                last = Some(*limit);
                false
            }
            _ => true,
        });
        last.unwrap_or_else(|| panic!("expected a limit, found {:?}", self.out))
    }

    pub(crate) fn decided(&mut self) -> M::Decision
    where
        M::Decision: Clone,
    {
        self.take("a decision", |output| match output {
            Output::Decided(decision) => Some(decision.clone()),
            _ => None,
        })
    }

    pub(crate) fn is_decided(&self) -> bool {
        self.out.iter().any(|output| matches!(output, Output::Decided(_)))
    }

    pub(crate) fn is_finished(&self) -> bool {
        self.out.iter().any(|output| matches!(output, Output::Finished))
    }

    pub(crate) fn is_idle(&self) -> bool {
        !self.out.iter().any(|output| matches!(output, Output::Send { .. } | Output::Locate { .. }))
    }
}

pub(crate) fn unanswered() -> Error {
    Error::Unanswered { request: "a request", store: 1, source: Arc::new(Status::unavailable("cut")) }
}

pub(crate) fn lost() -> Reply {
    Reply::Unanswered { error: unanswered(), pause: Pause::Backoff { kind: Backoff::Store, attempt: 0 } }
}

pub(crate) fn not_done() -> Reply {
    let error = Error::Region { request: "a request", region: 1, error: "EpochNotMatch".to_owned(), lasting: false };
    Reply::NotDone { error, pause: Pause::None }
}

pub(crate) fn refused() -> Reply {
    let error = Error::Region { request: "a request", region: 1, error: "RaftEntryTooLarge".to_owned(), lasting: true };
    Reply::Refused { error }
}
