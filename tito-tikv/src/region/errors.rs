//! What the region errors of TiKV mean: the one table.
//!
//! | error | the region as it is known | a read | a prewrite, a rollback | a commit |
//! |---|---|---|---|---|
//! | `NotLeader` with a leader | led by that one | again at once | again at once | again at once |
//! | `NotLeader` without | asked anew | again | again | again |
//! | `EpochNotMatch`, `KeyNotInRegion` | as told, or asked anew | again | again | again |
//! | `RegionNotFound` | asked anew | again | may be done | may be done |
//! | `StoreNotMatch`, `MismatchPeerId`, `IsWitness`, `RecoveryInProgress` | asked anew | again | again | again |
//! | `ServerIsBusy` | stays | again, later | again, later | again, later |
//! | `ServerIsBusy` past its deadline | stays | again, later | may be done | may be done |
//! | `DiskFull` | stays | again, later | again, later | again, later |
//! | `StaleCommand` | stays | again | may be done | may be done |
//! | `MaxTimestampNotSynced`, `ReadIndexNotReady`, `ProposalInMergingMode`, `DataIsNotReady`, `RegionNotInitialized`, `BucketVersionNotMatch` | stays | again | again | again |
//! | `RaftEntryTooLarge`, `FlashbackInProgress`, `FlashbackNotPrepared` | stays | lasting | lasting | lasting |
//! | `UndeterminedResult` | stays | again | may be done | may be done |
//! | unknown | asked anew | again | may be done | may be done |
//!
//! *Again* means that nothing was done. *May be done* is taken for a request without an answer: the request had reached
//! Raft's log when its leader lost the region (`StaleCommand`), or may have. All requests can be repeated, so it
//! differs from *again* only in what it proves: after a commit that may be done, only the primary key itself tells.
use tito_tikv_proto::errorpb::Error as Wire;
use tito_tikv_proto::metapb;

use crate::protocol::{Backoff, Pause};

/// Whether a request changes anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    Read,
    Write,
}

/// What is done with the region as it is known.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Known {
    Stays,
    Forgotten,
    /// Another store leads it.
    LedBy(u64),
    /// It was split or merged; these are there now.
    Replaced(Vec<metapb::Region>),
}

/// What comes of the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Nothing was done; it can be sent again.
    NotDone,
    /// It may be done, or may be yet; it can be sent again.
    MayBeDone,
    /// Nothing was done, and sending it again is no use.
    Lasting,
}

/// What a region error means.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Meaning {
    pub(crate) name: &'static str,
    pub(crate) known: Known,
    pub(crate) effect: Effect,
    pub(crate) pause: Pause,
}

const AT_ONCE: Pause = Pause::None;
const SOON: Pause = Pause::Backoff { kind: Backoff::Region, attempt: 0 };
const LATER: Pause = Pause::Backoff { kind: Backoff::Busy, attempt: 0 };

/// What a region error means to a request.
pub(crate) fn meaning(error: &Wire, class: Class) -> Meaning {
    use Effect::{Lasting, MayBeDone, NotDone};
    use Known::{Forgotten, LedBy, Replaced, Stays};

    let (name, known, effect, pause) = match error {
        Wire { not_leader: Some(it), .. } => match &it.leader {
            Some(leader) => ("NotLeader", LedBy(leader.store_id), NotDone, AT_ONCE),
            None => ("NotLeader", Forgotten, NotDone, SOON),
        },
        Wire { epoch_not_match: Some(it), .. } if it.current_regions.is_empty() => {
            ("EpochNotMatch", Forgotten, NotDone, SOON)
        }
        Wire { epoch_not_match: Some(it), .. } => {
            ("EpochNotMatch", Replaced(it.current_regions.clone()), NotDone, AT_ONCE)
        }
        Wire { region_not_found: Some(_), .. } => ("RegionNotFound", Forgotten, MayBeDone, SOON),
        Wire { key_not_in_region: Some(_), .. } => ("KeyNotInRegion", Forgotten, NotDone, SOON),
        Wire { store_not_match: Some(_), .. } => ("StoreNotMatch", Forgotten, NotDone, SOON),
        Wire { mismatch_peer_id: Some(_), .. } => ("MismatchPeerId", Forgotten, NotDone, SOON),
        Wire { is_witness: Some(_), .. } => ("IsWitness", Forgotten, NotDone, SOON),
        Wire { recovery_in_progress: Some(_), .. } => ("RecoveryInProgress", Forgotten, NotDone, LATER),
        Wire { server_is_busy: Some(it), .. } => {
            let pause = if it.backoff_ms > 0 { Pause::Millis(it.backoff_ms) } else { LATER };
            let effect = if it.reason.contains("deadline") { MayBeDone } else { NotDone };
            ("ServerIsBusy", Stays, effect, pause)
        }
        Wire { disk_full: Some(_), .. } => ("DiskFull", Stays, NotDone, LATER),
        Wire { stale_command: Some(_), .. } => ("StaleCommand", Stays, MayBeDone, SOON),
        Wire { max_timestamp_not_synced: Some(_), .. } => ("MaxTimestampNotSynced", Stays, NotDone, SOON),
        Wire { read_index_not_ready: Some(_), .. } => ("ReadIndexNotReady", Stays, NotDone, SOON),
        Wire { proposal_in_merging_mode: Some(_), .. } => ("ProposalInMergingMode", Stays, NotDone, SOON),
        Wire { data_is_not_ready: Some(_), .. } => ("DataIsNotReady", Stays, NotDone, SOON),
        Wire { region_not_initialized: Some(_), .. } => ("RegionNotInitialized", Stays, NotDone, SOON),
        Wire { bucket_version_not_match: Some(_), .. } => ("BucketVersionNotMatch", Stays, NotDone, SOON),
        Wire { raft_entry_too_large: Some(_), .. } => ("RaftEntryTooLarge", Stays, Lasting, SOON),
        Wire { flashback_in_progress: Some(_), .. } => ("FlashbackInProgress", Stays, Lasting, SOON),
        Wire { flashback_not_prepared: Some(_), .. } => ("FlashbackNotPrepared", Stays, Lasting, SOON),
        Wire { undetermined_result: Some(_), .. } => ("UndeterminedResult", Stays, MayBeDone, SOON),
        _ => ("an unknown region error", Forgotten, MayBeDone, SOON),
    };
    // What a read may have done does not matter.
    let effect = if class == Class::Read && effect == MayBeDone { NotDone } else { effect };
    Meaning { name, known, effect, pause }
}

#[cfg(test)]
mod tests {
    use tito_tikv_proto::errorpb::{EpochNotMatch, NotLeader, ServerIsBusy, StaleCommand, UndeterminedResult};

    use super::*;

    #[test]
    fn a_leader_that_is_told_is_asked_at_once() {
        let leader = Some(metapb::Peer { store_id: 3, ..metapb::Peer::default() });
        let error =
            Wire { not_leader: Some(NotLeader { region_id: 1, leader, ..Default::default() }), ..Wire::default() };
        let meaning = meaning(&error, Class::Write);
        assert_eq!((meaning.known, meaning.effect, meaning.pause), (Known::LedBy(3), Effect::NotDone, Pause::None));
    }

    #[test]
    fn what_may_be_done_is_so_to_writes_only() {
        for error in [
            Wire { stale_command: Some(StaleCommand::default()), ..Wire::default() },
            Wire { undetermined_result: Some(UndeterminedResult::default()), ..Wire::default() },
            Wire { message: "something new".to_owned(), ..Wire::default() },
        ] {
            assert_eq!(meaning(&error, Class::Write).effect, Effect::MayBeDone, "{error:?}");
            assert_eq!(meaning(&error, Class::Read).effect, Effect::NotDone, "{error:?}");
        }
    }

    #[test]
    fn a_busy_store_says_how_long_to_wait() {
        let busy = |backoff_ms, reason: &str| Wire {
            server_is_busy: Some(ServerIsBusy { backoff_ms, reason: reason.to_owned(), ..ServerIsBusy::default() }),
            ..Wire::default()
        };
        assert_eq!(meaning(&busy(70, "busy"), Class::Write).pause, Pause::Millis(70));
        assert_eq!(meaning(&busy(0, "deadline is exceeded"), Class::Write).effect, Effect::MayBeDone);
    }

    #[test]
    fn a_split_is_taken_over_as_it_is_told() {
        let regions = vec![metapb::Region { id: 1, ..metapb::Region::default() }];
        let error = Wire {
            epoch_not_match: Some(EpochNotMatch { current_regions: regions.clone(), ..Default::default() }),
            ..Wire::default()
        };
        assert_eq!(meaning(&error, Class::Read).known, Known::Replaced(regions));
    }

    /// The macro names every field of the message, so it does not compile once there is another.
    #[test]
    fn every_region_error_of_the_protocol_has_its_line() {
        macro_rules! all {
            ($($field:ident $name:ident,)*) => {
                let Wire { message: _, unknown_fields: _, $($field: _,)* } = Wire::default();
                $(
                    let mut error = Wire::default();
                    error.$field.get_or_insert_default();
                    let name = stringify!($name);
                    assert_eq!(meaning(&error, Class::Write).name, name);
                    let table = include_str!("errors.rs").lines().filter(|line| line.starts_with("//! |"));
                    let lines = table.filter(|line| line.contains(concat!("`", stringify!($name), "`"))).count();
                    assert!(lines > 0, "{name} is not in the table");
                )*
            };
        }
        all! {
            not_leader NotLeader,
            region_not_found RegionNotFound,
            key_not_in_region KeyNotInRegion,
            epoch_not_match EpochNotMatch,
            server_is_busy ServerIsBusy,
            stale_command StaleCommand,
            store_not_match StoreNotMatch,
            raft_entry_too_large RaftEntryTooLarge,
            max_timestamp_not_synced MaxTimestampNotSynced,
            read_index_not_ready ReadIndexNotReady,
            proposal_in_merging_mode ProposalInMergingMode,
            data_is_not_ready DataIsNotReady,
            region_not_initialized RegionNotInitialized,
            disk_full DiskFull,
            recovery_in_progress RecoveryInProgress,
            flashback_in_progress FlashbackInProgress,
            flashback_not_prepared FlashbackNotPrepared,
            is_witness IsWitness,
            mismatch_peer_id MismatchPeerId,
            bucket_version_not_match BucketVersionNotMatch,
            undetermined_result UndeterminedResult,
        }
    }
}
