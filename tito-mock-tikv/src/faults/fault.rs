//! The faults of a call.
use std::time::Duration;

use crate::Rpc;

/// What a [`FaultRule`](crate::FaultRule) does to a call.
///
/// A store carries out every request that it has received, whatever the client does: giving up on a call that is
/// delayed or hangs does not take the request back.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// A store answers that it does not lead the region, and does not know who does, as during an election.
    NotLeader,
    /// A store answers that the region was split or merged, with the region as it is.
    EpochNotMatch,
    /// A store answers that it has no such region.
    RegionNotFound,
    /// A store answers that the call's first key is not in the region.
    KeyNotInRegion,
    /// A store answers that it has too much to do.
    ServerIsBusy,
    /// A store answers that the command is of an earlier term.
    StaleCommand,
    /// A store answers that it is another store.
    StoreNotMatch,
    /// A store answers that it has not yet learned the highest timestamp, as just after a move of the leader.
    MaxTimestampNotSynced,
    /// A store answers that the write is too large to be replicated.
    RaftEntryTooLarge,
    /// A store answers that it cannot say yet whether it may read, as while a leader is elected.
    ReadIndexNotReady,
    /// A store answers that the region is just being merged.
    ProposalInMergingMode,
    /// A store answers that it does not have the data for a stale read yet.
    DataIsNotReady,
    /// A store answers that it has not got the region's data yet.
    RegionNotInitialized,
    /// A store answers that its disk is full.
    DiskFull,
    /// A store answers that it is recovering from a backup.
    RecoveryInProgress,
    /// A store answers that the region is being flashed back.
    FlashbackInProgress,
    /// A store answers that the region was not prepared for a flashback.
    FlashbackNotPrepared,
    /// A store answers that its peer only votes.
    IsWitness,
    /// A store answers that it has another peer of the region.
    MismatchPeerId,
    /// A store answers that the region's buckets have changed.
    BucketVersionNotMatch,
    /// A store answers that it does not know whether the request has been done, as when it loses the leadership meanwhile.
    UndeterminedResult {
        /// Whether it has.
        applied: bool,
    },
    /// The call fails with gRPC's UNAVAILABLE before anything is done.
    DropRequest,
    /// The call is done, and then fails with gRPC's UNAVAILABLE.
    DropResponse,
    /// The call is done as usual, but this much later.
    Delay(Duration),
    /// The call fails with gRPC's UNAVAILABLE at once, and is done when the rule is removed: the client has given up a
    /// request that is still under way.
    Late,
    /// The call is done and answered as usual, and done once more when the rule is removed, as if it had been sent
    /// twice.
    Duplicate,
    /// The connections of the server are cut before anything is done: this call and all others on them fail.
    CloseConnection,
    /// The call waits until the rule is removed, and is then done as usual.
    Hang,
    /// PD has no leader: members are told without one, other calls to PD fail with UNAVAILABLE.
    NoLeader,
    /// PD answers with an error in the header of its response.
    PdError,
    /// The clock jumps by this many milliseconds, for good, before the call is done.
    ClockJump(i64),
}

impl Fault {
    /// Every error that a store can answer for a region.
    pub const REGION_ERRORS: [Fault; 22] = [
        Fault::NotLeader,
        Fault::EpochNotMatch,
        Fault::RegionNotFound,
        Fault::KeyNotInRegion,
        Fault::ServerIsBusy,
        Fault::StaleCommand,
        Fault::StoreNotMatch,
        Fault::MaxTimestampNotSynced,
        Fault::RaftEntryTooLarge,
        Fault::ReadIndexNotReady,
        Fault::ProposalInMergingMode,
        Fault::DataIsNotReady,
        Fault::RegionNotInitialized,
        Fault::DiskFull,
        Fault::RecoveryInProgress,
        Fault::FlashbackInProgress,
        Fault::FlashbackNotPrepared,
        Fault::IsWitness,
        Fault::MismatchPeerId,
        Fault::BucketVersionNotMatch,
        Fault::UndeterminedResult { applied: false },
        Fault::UndeterminedResult { applied: true },
    ];

    /// The fault's name, without what it carries.
    pub fn name(&self) -> &'static str {
        match self {
            Fault::NotLeader => "NotLeader",
            Fault::EpochNotMatch => "EpochNotMatch",
            Fault::RegionNotFound => "RegionNotFound",
            Fault::KeyNotInRegion => "KeyNotInRegion",
            Fault::ServerIsBusy => "ServerIsBusy",
            Fault::StaleCommand => "StaleCommand",
            Fault::StoreNotMatch => "StoreNotMatch",
            Fault::MaxTimestampNotSynced => "MaxTimestampNotSynced",
            Fault::RaftEntryTooLarge => "RaftEntryTooLarge",
            Fault::ReadIndexNotReady => "ReadIndexNotReady",
            Fault::ProposalInMergingMode => "ProposalInMergingMode",
            Fault::DataIsNotReady => "DataIsNotReady",
            Fault::RegionNotInitialized => "RegionNotInitialized",
            Fault::DiskFull => "DiskFull",
            Fault::RecoveryInProgress => "RecoveryInProgress",
            Fault::FlashbackInProgress => "FlashbackInProgress",
            Fault::FlashbackNotPrepared => "FlashbackNotPrepared",
            Fault::IsWitness => "IsWitness",
            Fault::MismatchPeerId => "MismatchPeerId",
            Fault::BucketVersionNotMatch => "BucketVersionNotMatch",
            Fault::UndeterminedResult { .. } => "UndeterminedResult",
            Fault::DropRequest => "DropRequest",
            Fault::DropResponse => "DropResponse",
            Fault::Delay(_) => "Delay",
            Fault::Late => "Late",
            Fault::Duplicate => "Duplicate",
            Fault::CloseConnection => "CloseConnection",
            Fault::Hang => "Hang",
            Fault::NoLeader => "NoLeader",
            Fault::PdError => "PdError",
            Fault::ClockJump(_) => "ClockJump",
        }
    }

    /// Whether the fault can happen to a call: a region error is of stores, an error in PD's header is of PD.
    pub(crate) fn can_strike(&self, rpc: Rpc) -> bool {
        match self {
            Fault::DropRequest
            | Fault::DropResponse
            | Fault::Delay(_)
            | Fault::CloseConnection
            | Fault::Hang
            | Fault::ClockJump(_) => true,
            Fault::NoLeader | Fault::PdError => rpc.is_pd(),
            // The stream as a whole is for no region; the calls in it are.
            _ => !rpc.is_pd() && rpc != Rpc::BatchCommands,
        }
    }
}
