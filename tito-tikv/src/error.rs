//! Errors.
use std::fmt;
use std::sync::Arc;

use tonic::Status;

use crate::Timestamp;

/// The result of a call.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A key in readable form: printable bytes as they are, others as `\x00`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Key(Vec<u8>);

impl Key {
    /// The key's bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The key's bytes.
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}

impl From<Vec<u8>> for Key {
    fn from(key: Vec<u8>) -> Self {
        Key(key)
    }
}

impl From<&[u8]> for Key {
    fn from(key: &[u8]) -> Self {
        Key(key.to_vec())
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.escape_ascii().fmt(f)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

/// Why a call failed.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// PD did not answer, or not with what was asked for. A failed look-up of a region is this error, never an empty
    /// result. Asking again can help.
    #[error("PD could not be asked for {asked}")]
    Pd {
        /// What was asked for.
        asked: &'static str,
        /// What came instead.
        #[source]
        source: PdFailure,
    },
    /// A store did not answer a request. It may have carried it out, or may still do so. Asking again can help.
    #[error("store {store} did not answer {request}")]
    Unanswered {
        /// The kind of the request, by TiKV's name.
        request: &'static str,
        /// The store's number.
        store: u64,
        /// What gRPC says.
        #[source]
        source: Arc<Status>,
    },
    /// A store refused a request because of its region. Asking again can help unless `lasting` is set.
    #[error("region {region} refused {request}: {error}")]
    Region {
        /// The kind of the request, by TiKV's name.
        request: &'static str,
        /// The region's number.
        region: u64,
        /// The region error, by TiKV's name and with TiKV's text.
        error: String,
        /// Whether the same request will be refused again.
        lasting: bool,
    },
    /// A key is locked by another transaction, which was neither over nor expired when the time was. Asking again helps
    /// once that transaction is over.
    #[error("key {key} is locked by the transaction of {holder}")]
    Locked {
        /// The locked key.
        key: Key,
        /// The start of the transaction that holds it.
        holder: Timestamp,
    },
    /// A deadlock: another transaction waits for a lock of this one, which waits for a lock of that one. This one was
    /// chosen to give way.
    #[error("waiting for the transaction of {holder} at key {key} would never end")]
    Deadlock {
        /// The key that was waited for.
        key: Key,
        /// The start of the transaction that holds it.
        holder: Timestamp,
    },
    /// A store answered with an error about a key that the protocol does not allow for this request. Asking again is no
    /// use.
    #[error("{request} failed: {error}")]
    Answer {
        /// The kind of the request, by TiKV's name.
        request: &'static str,
        /// TiKV's text.
        error: String,
    },
    /// The answer of a store is larger than [`max_message_bytes`](crate::Builder::max_message_bytes). Asking again is no
    /// use: pages are made smaller before this is said, so it is one row.
    #[error("the answer of store {store} to {request} is larger than {limit} bytes")]
    TooLarge {
        /// The kind of the request, by TiKV's name.
        request: &'static str,
        /// The store's number.
        store: u64,
        /// The largest answer that is accepted, in bytes.
        limit: usize,
    },
    /// The call missed its deadline. Asking again can help.
    #[error("{call} took longer than {millis} ms")]
    Deadline {
        /// The call.
        call: &'static str,
        /// The time it was allowed.
        millis: u64,
        /// What went wrong last.
        #[source]
        last: Option<Arc<Error>>,
    },
    /// A setting or an argument that can't be used. Asking again is no use.
    #[error("{what} can't be used: {reason}")]
    Invalid {
        /// The setting or argument.
        what: &'static str,
        /// What was expected, and what was found.
        reason: String,
    },
    /// The client was closed.
    #[error("the client is closed")]
    Closed,
}

/// Why PD gave no usable answer.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PdFailure {
    /// No member could be reached, or the leader failed.
    #[error("{address} failed")]
    Call {
        /// The member.
        address: String,
        /// What gRPC says.
        #[source]
        source: Arc<Status>,
    },
    /// A member could not be connected to.
    #[error("{address} can't be connected to")]
    Connect {
        /// The member.
        address: String,
        /// Why not.
        #[source]
        source: Arc<dyn std::error::Error + Send + Sync>,
    },
    /// There is no leader at the moment.
    #[error("no member knows a leader")]
    NoLeader,
    /// PD answered with an error.
    #[error("the answer is an error: {0}")]
    Answer(String),
    /// PD does not know what was named. Asking again is no use.
    #[error("it is not there: {0}")]
    NotFound(String),
    /// PD has no region for a key, or the regions that it returned leave a gap.
    #[error("the answer has no region for {0}")]
    NoRegion(Key),
    /// PD, or whatever answers at its address, belongs to another cluster. Asking again is no use.
    #[error("expected cluster {expected}, found {found}")]
    OtherCluster {
        /// The cluster that the client was connected to.
        expected: u64,
        /// The cluster that answered.
        found: u64,
    },
    /// A timestamp was not above the one before. Nothing is safe then: this client stops writing. Once PD is repaired,
    /// make a new client.
    #[error("the timestamp {found} came after {before}")]
    TimestampWentBack {
        /// The highest timestamp so far.
        before: Timestamp,
        /// The one that came after it.
        found: Timestamp,
    },
    /// There was no answer in time.
    #[error("no answer within {millis} ms")]
    Timeout {
        /// How long the client waited.
        millis: u64,
    },
}

impl Error {
    /// Whether the same call may succeed later.
    pub fn can_retry_help(&self) -> bool {
        match self {
            Error::Pd { source, .. } => {
                let lasting = |failure: &PdFailure| {
                    matches!(
                        failure,
                        PdFailure::OtherCluster { .. } | PdFailure::TimestampWentBack { .. } | PdFailure::NotFound(_)
                    )
                };
                !lasting(source)
            }
            Error::Region { lasting, .. } => !lasting,
            Error::Unanswered { .. } | Error::Locked { .. } | Error::Deadlock { .. } | Error::Deadline { .. } => true,
            Error::Answer { .. } | Error::TooLarge { .. } | Error::Invalid { .. } | Error::Closed => false,
        }
    }
}
