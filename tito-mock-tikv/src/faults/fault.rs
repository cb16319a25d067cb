//! What can go wrong with a call.
use std::time::Duration;

use crate::Rpc;

/// What a [`FaultRule`](crate::FaultRule) does to a call.
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
    /// The call fails with gRPC's UNAVAILABLE before anything is done.
    DropRequest,
    /// The call is done, and then fails with gRPC's UNAVAILABLE.
    DropResponse,
    /// The call is done as ever, so much later.
    Delay(Duration),
    /// The connections of the server are cut before anything is done: this call and all others on them fail.
    CloseConnection,
    /// The call is not answered before the rule is removed; it is then done as ever, if the client still waits.
    Hang,
    /// PD has no leader: members are told without one, other calls to PD fail with UNAVAILABLE.
    NoLeader,
    /// PD answers with an error in the header of its response.
    PdError,
    /// The clock jumps by so many milliseconds, for good, before the call is done.
    ClockJump(i64),
}

impl Fault {
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
            Fault::DropRequest => "DropRequest",
            Fault::DropResponse => "DropResponse",
            Fault::Delay(_) => "Delay",
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
            // This one is addressed to a store and not to a region.
            _ => !rpc.is_pd() && rpc != Rpc::UnsafeDestroyRange,
        }
    }
}
