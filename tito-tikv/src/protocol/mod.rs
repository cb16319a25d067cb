//! The protocol of transactions as machines without input and output: events go in, requests come out.
//!
//! A machine never waits, asks no clock and draws no random number. Whoever drives it sends what it wants sent, tells
//! it what came of that, in whatever order that comes, and gets the same requests for the same events each time. So a
//! test can go through all orders, and the shell that does the sending has no decision to make.
//!
//! - [`commit`]: the commit of a transaction in two phases, with its rollback and the way to one of three outcomes.
//! - [`resolve`]: what became of a transaction whose locks are in the way, and their removal.
//! - [`acquire`]: pessimistic locks.
//!
//! A machine's requests go to *regions*, which it gets from its driver and knows nothing of: whoever locates keys gives
//! one for each run of them.

pub(crate) mod acquire;
mod calls;
pub(crate) mod commit;
#[cfg(test)]
mod exploration;
pub(crate) mod keys;
pub(crate) mod resolve;

#[cfg(test)]
pub(crate) mod script;

use tito_tikv_proto::kvrpcpb::{self, KeyError, LockInfo};

use crate::{Error, Outcome};

/// Names what a machine asked for, so that it knows what an event is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct CallId(pub(crate) u32);

/// What a machine wants done. `D` is what it decides in the end.
#[derive(Clone, Debug)]
pub(crate) enum Output<R, D> {
    /// Say which regions hold these keys, which ascend: [`Event::Located`] with a region and a number of keys for each
    /// run.
    Locate { call: CallId, keys: Vec<Vec<u8>> },
    /// Send a request: [`Event::Answered`].
    Send { call: CallId, region: R, request: Request },
    /// Get a timestamp from PD: [`Event::Timestamp`].
    Timestamp { call: CallId },
    /// Wait a little: [`Event::Paused`].
    Pause { call: CallId, pause: Pause },
    /// Get these locks of others out of the way: [`Event::Resolved`].
    Resolve { call: CallId, locks: Vec<LockInfo> },
    /// Give a limit of time from now on, instead of any before: [`Event::Deadline`].
    Limit(Limit),
    /// This is what came of it. There may be more to do, for which nobody has to wait.
    Decided(D),
    /// There is nothing more to do, and nothing that is under way matters any more.
    Finished,
}

/// What has happened.
#[derive(Clone, Debug)]
pub(crate) enum Event<R> {
    /// The regions of the keys, each with how many of them it has, in their order; or none could be had.
    Located { call: CallId, runs: Result<Vec<(R, usize)>, Error> },
    /// What came of a request.
    Answered { call: CallId, reply: Reply },
    /// A timestamp.
    Timestamp { call: CallId, timestamp: Result<u64, Error> },
    /// The wait is over.
    Paused { call: CallId },
    /// The locks are gone, or how long the one that lives longest has left, in milliseconds.
    Resolved { call: CallId, left: Result<Option<u64>, Error> },
    /// The limit that was given is reached.
    Deadline,
}

/// What came of a request.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    /// It was carried out as far as its answer says.
    Response(Response),
    /// Nothing was done and nothing will be. Asking again, of the region as it is then, can help.
    NotDone { error: Error, pause: Pause },
    /// It was done, or will be, or neither. Asking again is harmless, as all requests can be repeated.
    Unanswered { error: Error, pause: Pause },
    /// Nothing was done and nothing will be, and asking again is no use.
    Refused { error: Error },
}

/// How often something may be asked again without a pause.
const AT_ONCE: u32 = 3;

/// How long to wait before something is asked again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pause {
    /// Not at all.
    None,
    /// The longer the more often it was tried in vain.
    Backoff { kind: Backoff, attempt: u32 },
    /// So many milliseconds.
    Millis(u64),
}

impl Pause {
    /// The same for a later attempt. What may be asked again at once may be so a few times only: two stores that take
    /// each other for the leader would be asked without end at full speed.
    pub(crate) fn at(self, attempt: u32) -> Self {
        match self {
            Pause::Backoff { kind, .. } => Pause::Backoff { kind, attempt },
            Pause::None if attempt >= AT_ONCE => Pause::Backoff { kind: Backoff::Region, attempt: attempt - AT_ONCE },
            pause => pause,
        }
    }
}

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Backoff {
    /// PD.
    Pd,
    /// Regions that have moved, split or merged.
    Region,
    /// A store that did not answer.
    Store,
    /// A store that has too much to do, or no space.
    Busy,
    /// A lock of another transaction.
    Lock,
}

/// A limit of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Limit {
    /// That of the call.
    Call,
    /// So many milliseconds.
    Millis(u64),
    /// How long a caller waits for the rollback after a failure that is certain.
    Rollback,
}

macro_rules! requests {
    ($($(#[$only:meta])? $name:ident($request:ident, $response:ident),)*) => {
        /// A request of a transaction's protocol, without its context.
        #[derive(Clone, Debug, PartialEq)]
        pub(crate) enum Request {
            $($(#[$only])? $name(Box<kvrpcpb::$request>),)*
        }

        /// The answer to a request that is not a region error.
        #[derive(Clone, Debug, PartialEq)]
        pub(crate) enum Response {
            $($(#[$only])? $name(Box<kvrpcpb::$response>),)*
        }

        $(
            $(#[$only])?
            impl From<kvrpcpb::$request> for Request {
                fn from(request: kvrpcpb::$request) -> Self {
                    Request::$name(Box::new(request))
                }
            }

            $(#[$only])?
            impl From<kvrpcpb::$response> for Response {
                fn from(response: kvrpcpb::$response) -> Self {
                    Response::$name(Box::new(response))
                }
            }
        )*
    };
}

requests! {
    Prewrite(PrewriteRequest, PrewriteResponse),
    Commit(CommitRequest, CommitResponse),
    // What a planted fault takes for a proof.
    #[cfg(test)] Cleanup(CleanupRequest, CleanupResponse),
    BatchRollback(BatchRollbackRequest, BatchRollbackResponse),
    CheckTxnStatus(CheckTxnStatusRequest, CheckTxnStatusResponse),
    CheckSecondaryLocks(CheckSecondaryLocksRequest, CheckSecondaryLocksResponse),
    ResolveLock(ResolveLockRequest, ResolveLockResponse),
    HeartBeat(TxnHeartBeatRequest, TxnHeartBeatResponse),
    PessimisticLock(PessimisticLockRequest, PessimisticLockResponse),
    PessimisticRollback(PessimisticRollbackRequest, PessimisticRollbackResponse),
}

/// A machine, as its driver sees it.
pub(crate) trait Machine<R> {
    /// What it decides.
    type Decision;

    /// What it wants done at first.
    fn start(&mut self) -> Vec<Output<R, Self::Decision>>;

    /// What it wants done after this. Events that it does not wait for any more have no effect.
    fn handle(&mut self, event: Event<R>) -> Vec<Output<R, Self::Decision>>;
}

/// What a machine of a commit wants done.
pub(crate) type CommitOutput<R> = Output<R, Outcome>;

/// An error of a key that a request can't meet by the protocol.
pub(crate) fn unexpected(request: &'static str, error: &KeyError) -> Error {
    let text = match () {
        () if !error.abort.is_empty() => error.abort.clone(),
        () if !error.retryable.is_empty() => error.retryable.clone(),
        () => format!("{error:?}"),
    };
    Error::Answer { request, error: text }
}

/// An answer of another kind than the request's.
pub(crate) fn mismatched(request: &'static str) -> Error {
    Error::Answer { request, error: "the answer is that of another request".to_owned() }
}
