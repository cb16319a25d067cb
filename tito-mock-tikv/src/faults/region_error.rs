//! The region errors that a test requests, with the region's current state.
use tito_tikv_proto::errorpb::{self, Error};

use super::Fault;
use crate::topology::{Region, RegionError, Topology, key_not_in_region, region_not_found, store_not_match};

/// What is known about the struck call.
pub(crate) struct Struck<'a> {
    pub(crate) store_id: u64,
    pub(crate) region_id: u64,
    pub(crate) peer_id: u64,
    pub(crate) first_key: &'a [u8],
}

impl Fault {
    /// The region error that this fault stands for; `None` if it is another kind of fault.
    pub(crate) fn region_error(&self, topology: &Topology, struck: &Struck<'_>) -> Option<RegionError> {
        let region_id = struck.region_id;
        let region = topology.region(region_id);
        let reason = "the mock cluster was told so".to_owned();
        let error = match self {
            Fault::EpochNotMatch => match region {
                Some(region) => return Some(topology.epoch_not_match(region, region.version)),
                None => Error { epoch_not_match: Some(errorpb::EpochNotMatch::default()), ..Error::default() },
            },
            Fault::RegionNotFound => return Some(region_not_found(region_id)),
            Fault::StoreNotMatch => return Some(store_not_match(struck.store_id, struck.store_id)),
            Fault::KeyNotInRegion => match region {
                Some(region) => return Some(key_not_in_region(struck.first_key, region)),
                None => {
                    let (key, region_id) = (struck.first_key.to_vec(), struck.region_id);
                    let error = errorpb::KeyNotInRegion { key, region_id, ..errorpb::KeyNotInRegion::default() };
                    Error { key_not_in_region: Some(error), ..Error::default() }
                }
            },
            Fault::NotLeader => Error {
                not_leader: Some(errorpb::NotLeader { region_id, leader: None, ..errorpb::NotLeader::default() }),
                ..Error::default()
            },
            Fault::ServerIsBusy => {
                let error = errorpb::ServerIsBusy { reason, ..errorpb::ServerIsBusy::default() };
                Error { server_is_busy: Some(error), ..Error::default() }
            }
            Fault::StaleCommand => Error { stale_command: Some(errorpb::StaleCommand::default()), ..Error::default() },
            Fault::MaxTimestampNotSynced => max_timestamp_not_synced(),
            Fault::RaftEntryTooLarge => {
                let error = errorpb::RaftEntryTooLarge {
                    region_id,
                    entry_size: 8 << 20,
                    ..errorpb::RaftEntryTooLarge::default()
                };
                Error { raft_entry_too_large: Some(error), ..Error::default() }
            }
            Fault::ReadIndexNotReady => {
                let error = errorpb::ReadIndexNotReady { reason, region_id, ..errorpb::ReadIndexNotReady::default() };
                Error { read_index_not_ready: Some(error), ..Error::default() }
            }
            Fault::ProposalInMergingMode => {
                let error = errorpb::ProposalInMergingMode { region_id, ..errorpb::ProposalInMergingMode::default() };
                Error { proposal_in_merging_mode: Some(error), ..Error::default() }
            }
            Fault::DataIsNotReady => {
                let (peer_id, safe_ts) = (struck.peer_id, 0);
                let error =
                    errorpb::DataIsNotReady { region_id, peer_id, safe_ts, ..errorpb::DataIsNotReady::default() };
                Error { data_is_not_ready: Some(error), ..Error::default() }
            }
            Fault::RegionNotInitialized => {
                let error = errorpb::RegionNotInitialized { region_id, ..errorpb::RegionNotInitialized::default() };
                Error { region_not_initialized: Some(error), ..Error::default() }
            }
            Fault::DiskFull => {
                let error =
                    errorpb::DiskFull { store_id: vec![struck.store_id], reason, ..errorpb::DiskFull::default() };
                Error { disk_full: Some(error), ..Error::default() }
            }
            Fault::RecoveryInProgress => {
                let error = errorpb::RecoveryInProgress { region_id, ..errorpb::RecoveryInProgress::default() };
                Error { recovery_in_progress: Some(error), ..Error::default() }
            }
            Fault::FlashbackInProgress => {
                let error = errorpb::FlashbackInProgress { region_id, ..errorpb::FlashbackInProgress::default() };
                Error { flashback_in_progress: Some(error), ..Error::default() }
            }
            Fault::FlashbackNotPrepared => {
                let error = errorpb::FlashbackNotPrepared { region_id, ..errorpb::FlashbackNotPrepared::default() };
                Error { flashback_not_prepared: Some(error), ..Error::default() }
            }
            Fault::IsWitness => Error {
                is_witness: Some(errorpb::IsWitness { region_id, ..errorpb::IsWitness::default() }),
                ..Error::default()
            },
            Fault::MismatchPeerId => {
                let peer = region.and_then(Region::leader_peer).map_or(0, |peer| peer.id);
                let error = errorpb::MismatchPeerId {
                    request_peer_id: struck.peer_id,
                    store_peer_id: peer,
                    ..errorpb::MismatchPeerId::default()
                };
                Error { mismatch_peer_id: Some(error), ..Error::default() }
            }
            Fault::BucketVersionNotMatch => {
                let error = errorpb::BucketVersionNotMatch::default();
                Error { bucket_version_not_match: Some(error), ..Error::default() }
            }
            Fault::UndeterminedResult { .. } => {
                let error = errorpb::UndeterminedResult { message: reason, ..errorpb::UndeterminedResult::default() };
                Error { undetermined_result: Some(error), ..Error::default() }
            }
            _ => return None,
        };
        let message = format!("the mock cluster was told to answer {}", self.name());
        Some(Box::new(Error { message, ..error }))
    }
}

/// A store's answer while it does not know yet what was read from the previous leader.
pub(crate) fn max_timestamp_not_synced() -> Error {
    let message = "the highest timestamp that was read is not known yet".to_owned();
    Error { message, max_timestamp_not_synced: Some(errorpb::MaxTimestampNotSynced::default()), ..Error::default() }
}
