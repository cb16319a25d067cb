//! The phase of a commit, and what it waits for.
use tito_tikv_proto::kvrpcpb::LockInfo;

use super::Batch;
use crate::Reason;

/// What a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Locks and values on all keys.
    Prewrite,
    /// The commit of the primary, and of the keys in the same request.
    Primary,
    /// The commit of the other keys, after the primary's.
    Secondaries,
    /// The final rollback of the primary, which reports what became of it.
    Settle,
    /// The rollback of the other keys.
    Rollback,
}

/// What the machine waits for.
#[derive(Clone, Debug)]
pub(super) enum Call<R> {
    Locate { step: Step, keys: Vec<usize>, attempt: u32 },
    Send(Batch<R, Step>),
    Pause { step: Step, keys: Vec<usize>, attempt: u32 },
    Resolve { keys: Vec<usize>, attempt: u32, locks: Vec<LockInfo> },
    Timestamp { attempt: u32 },
    TimestampPause { attempt: u32 },
    HeartBeatPause,
    HeartBeatLocate,
    HeartBeat,
}

/// The phase of the commit.
#[derive(Clone, Debug)]
pub(super) enum Phase {
    Prewriting,
    AskingTimestamp,
    CommittingPrimary,
    /// The primary is being asked, since a commit of it may be under way.
    Settling(Reason),
    CommittingSecondaries,
    /// Nothing can be committed. Requests under way are awaited, so that none can arrive after the rollback.
    Draining(Reason),
    RollingBack(Reason),
    Finished,
}

/// What is known about a key.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct KeyState {
    /// Its prewrite succeeded.
    pub(super) prewritten: bool,
    /// A prewrite of it was not answered, and may still be carried out.
    pub(super) may_be_prewritten: bool,
}
