//! The faults that can strike a call.
use std::time::Duration;

use crate::Rpc;

/// What a [`FaultRule`](crate::FaultRule) does to a call.
///
/// A store carries out every request that it has received, whatever the client does: cancelling a call that is delayed
/// or hangs does not take the request back.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// A store answers that it does not lead the region and does not know who does, as during an election.
    NotLeader,
    /// A store answers that the region was split or merged, and describes the region as it is now.
    EpochNotMatch,
    /// A store answers that it has no such region.
    RegionNotFound,
    /// A store answers that the call's first key is not in the region.
    KeyNotInRegion,
    /// A store answers that it is overloaded.
    ServerIsBusy,
    /// A store answers that the command is from an earlier term.
    StaleCommand,
    /// A store answers that it is a different store.
    StoreNotMatch,
    /// A store answers that it has not learned the highest timestamp yet, as just after a leader move.
    MaxTimestampNotSynced,
    /// A store answers that the write is too large to be replicated.
    RaftEntryTooLarge,
    /// A store answers that it can't tell yet whether it may read, as while a leader is being elected.
    ReadIndexNotReady,
    /// A store answers that the region is being merged.
    ProposalInMergingMode,
    /// A store answers that it does not have the data for a stale read yet.
    DataIsNotReady,
    /// A store answers that it does not have the region's data yet.
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
    /// A store answers that it has a different peer of the region.
    MismatchPeerId,
    /// A store answers that the region's buckets have changed.
    BucketVersionNotMatch,
    /// A store answers that it does not know whether the request took effect, as when it loses leadership meanwhile.
    UndeterminedResult {
        /// Whether it did.
        applied: bool,
    },
    /// The call fails with gRPC's UNAVAILABLE before anything is done.
    DropRequest,
    /// The call is carried out, and then fails with gRPC's UNAVAILABLE.
    DropResponse,
    /// The call is carried out as usual, but this much later.
    Delay(Duration),
    /// The call fails immediately with gRPC's UNAVAILABLE, and is carried out when the rule is removed: the client has
    /// given up on a request that is still under way.
    Late,
    /// The call is carried out and answered as usual, and carried out once more when the rule is removed, as if it had
    /// been sent twice.
    Duplicate,
    /// The server's connections are cut before anything is done: this call and all others on them fail.
    CloseConnection,
    /// The call waits until the rule is removed, and is then carried out as usual.
    Hang,
    /// PD has no leader: members are listed without one, and other calls to PD fail with UNAVAILABLE.
    NoLeader,
    /// PD answers with an error in the header of its response.
    PdError,
    /// The clock jumps by this many milliseconds, permanently, before the call is carried out.
    ClockJump(i64),
}

impl Fault {
    /// Every region error that a store can answer with.
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

    /// The fault's name, without its parameters.
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

    /// Whether the fault can strike a call: only stores give region errors, and only PD gives errors in its header.
    pub(crate) fn can_strike(&self, rpc: Rpc) -> bool {
        match self {
            Fault::DropRequest
            | Fault::DropResponse
            | Fault::Delay(_)
            | Fault::CloseConnection
            | Fault::Hang
            | Fault::ClockJump(_) => true,
            Fault::NoLeader | Fault::PdError => rpc.is_pd(),
            // The stream as a whole belongs to no region; the calls in it do.
            _ => !rpc.is_pd() && rpc != Rpc::BatchCommands,
        }
    }
}
