//! The transaction protocol as machines without input and output: events go in, requests come out.
//!
//! A machine never waits, reads no clock and draws no random number. Its driver sends the requests that it asks for and
//! reports the results in whatever order they come. The same events always give the same requests. So a test can go
//! through all orders, and the shell that does the sending has no decisions to make.
//!
//! - [`commit`]: the commit of a transaction in two phases, with its rollback and the way to one of three outcomes.
//! - [`resolve`]: what became of a transaction whose locks are in the way, and their removal.
//! - [`acquire`]: pessimistic locks.
//!
//! A machine's requests go to *regions*. It gets these from its driver and knows nothing about them: the driver locates
//! keys and gives a region for each run of them.

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

/// Identifies a call, so that the machine knows what an event is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct CallId(pub(crate) u32);

/// What a machine wants done. `D` is its final decision.
#[derive(Clone, Debug)]
pub(crate) enum Output<R, D> {
    /// Find the regions of these ascending keys: [`Event::Located`] with a region and a number of keys for each run.
    Locate { call: CallId, keys: Vec<Vec<u8>> },
    /// Send a request: [`Event::Answered`].
    Send { call: CallId, region: R, request: Request },
    /// Get a timestamp from PD: [`Event::Timestamp`].
    Timestamp { call: CallId },
    /// Wait a little: [`Event::Paused`].
    Pause { call: CallId, pause: Pause },
    /// Get these locks of others out of the way: [`Event::Resolved`].
    Resolve { call: CallId, locks: Vec<LockInfo> },
    /// Set a time limit from now on, which replaces any earlier one: [`Event::Deadline`].
    Limit(Limit),
    /// This is the decision. There may be more to do, but nobody has to wait for that.
    Decided(D),
    /// There is nothing more to do, and nothing still under way matters.
    Finished,
}

/// What has happened.
#[derive(Clone, Debug)]
pub(crate) enum Event<R> {
    /// The regions of the keys, in order, each with the number of keys that it holds; or an error if they can't be
    /// located.
    Located { call: CallId, runs: Result<Vec<(R, usize)>, Error> },
    /// What became of a request.
    Answered { call: CallId, reply: Reply },
    /// A timestamp.
    Timestamp { call: CallId, timestamp: Result<u64, Error> },
    /// The wait is over.
    Paused { call: CallId },
    /// The locks are gone but for those of these transactions, which live.
    Resolved { call: CallId, alive: Result<Vec<Alive>, Error> },
    /// The limit is reached.
    Deadline,
}

/// What became of a request.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    /// It was carried out, as its answer says.
    Response(Response),
    /// It was not carried out and never will be. Retrying can help, with the region looked up again.
    NotDone { error: Error, pause: Pause },
    /// It was carried out, will be, or neither. Retrying is harmless, since all requests can be
    /// repeated.
    Unanswered { error: Error, pause: Pause },
    /// It was not carried out and never will be, and retrying is no use.
    Refused { error: Error },
}

/// How many retries may follow without a pause.
const AT_ONCE: u32 = 3;

/// A transaction whose locks stay in the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Alive {
    pub(crate) start: u64,
    /// How much of its time to live is left.
    pub(crate) left_millis: u64,
}

/// How long to wait before retrying.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pause {
    /// No wait.
    None,
    /// Longer with each failed attempt.
    Backoff { kind: Backoff, attempt: u32 },
    /// This many milliseconds.
    Millis(u64),
}

impl Pause {
    /// The same for a later attempt. Only a few retries may go without a pause: otherwise, two stores that each take
    /// the other for the leader would be asked at full speed for ever.
    pub(crate) fn at(self, attempt: u32) -> Self {
        match self {
            Pause::Backoff { kind, .. } => Pause::Backoff { kind, attempt },
            Pause::None if attempt >= AT_ONCE => Pause::Backoff { kind: Backoff::Region, attempt: attempt - AT_ONCE },
            pause => pause,
        }
    }
}

/// What a retry waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Backoff {
    /// PD.
    Pd,
    /// Regions that have moved, split or merged.
    Region,
    /// A store that didn't answer.
    Store,
    /// A store that is overloaded or out of space.
    Busy,
    /// A lock of another transaction.
    Lock,
}

/// A time limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Limit {
    /// The limit of the call.
    Call,
    /// This many milliseconds.
    Millis(u64),
    /// How long a caller waits for the rollback after a definite failure.
    Rollback,
}

macro_rules! requests {
    ($($(#[$only:meta])? $name:ident($request:ident, $response:ident),)*) => {
        /// A request of the transaction protocol, without its context.
        #[derive(Clone, Debug, PartialEq)]
        pub(crate) enum Request {
            $($(#[$only])? $name(Box<kvrpcpb::$request>),)*
        }

        /// The answer to a request, if it isn't a region error.
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
    // What a planted fault takes for proof.
    #[cfg(test)] Cleanup(CleanupRequest, CleanupResponse),
    BatchRollback(BatchRollbackRequest, BatchRollbackResponse),
    CheckTxnStatus(CheckTxnStatusRequest, CheckTxnStatusResponse),
    CheckSecondaryLocks(CheckSecondaryLocksRequest, CheckSecondaryLocksResponse),
    ResolveLock(ResolveLockRequest, ResolveLockResponse),
    HeartBeat(TxnHeartBeatRequest, TxnHeartBeatResponse),
    PessimisticLock(PessimisticLockRequest, PessimisticLockResponse),
    PessimisticRollback(PessimisticRollbackRequest, PessimisticRollbackResponse),
}

/// A machine as its driver sees it.
pub(crate) trait Machine<R> {
    /// The type of its decision.
    type Decision;

    /// The first things that it wants done.
    fn start(&mut self) -> Vec<Output<R, Self::Decision>>;

    /// What it wants done after this event. Events that it no longer waits for have no effect.
    fn handle(&mut self, event: Event<R>) -> Vec<Output<R, Self::Decision>>;
}

/// What the machine of a commit wants done.
pub(crate) type CommitOutput<R> = Output<R, Outcome>;

/// A key error that the protocol rules out for this request.
pub(crate) fn unexpected(request: &'static str, error: &KeyError) -> Error {
    let text = match () {
        () if !error.abort.is_empty() => error.abort.clone(),
        () if !error.retryable.is_empty() => error.retryable.clone(),
        () => format!("{error:?}"),
    };
    Error::Answer { request, error: text }
}

/// An answer of a different kind from the request's.
pub(crate) fn mismatched(request: &'static str) -> Error {
    Error::Answer { request, error: "the answer is that of another request".to_owned() }
}
