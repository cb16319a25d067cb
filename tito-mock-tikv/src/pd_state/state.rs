//! What PD's members share.
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::safe_point::SafePoints;
use crate::TikvVersion;
use tito_tikv_proto::keyspacepb::{KeyspaceMeta, KeyspaceState, keyspace_meta};
use tito_tikv_proto::pdpb;

/// The keyspace that every cluster has.
const DEFAULT_KEYSPACE: &str = "DEFAULT";

pub(crate) struct PdState {
    pub(crate) cluster_id: u64,
    /// The URL of each member.
    urls: Vec<String>,
    /// The leading member, watched by the timestamp streams, which end with its leadership.
    pub(crate) leader: watch::Sender<Option<usize>>,
    /// Whether timestamp requests wait without an answer.
    pub(crate) frozen: watch::Sender<bool>,
    /// The index is the keyspace's number.
    keyspaces: Vec<String>,
    safe_points: Mutex<SafePoints>,
    version: TikvVersion,
}

impl PdState {
    pub(crate) fn new(urls: Vec<String>, keyspaces: Vec<String>, version: TikvVersion, seed: u64) -> Self {
        PdState {
            // As large as PD's, and different for each cluster, so that a mix-up is noticed.
            cluster_id: fastrand::Rng::with_seed(seed).u64(1 << 62..),
            urls,
            leader: watch::Sender::new(Some(0)),
            frozen: watch::Sender::new(false),
            keyspaces: std::iter::once(DEFAULT_KEYSPACE.to_owned()).chain(keyspaces).collect(),
            safe_points: Mutex::default(),
            version,
        }
    }

    pub(crate) fn members(&self) -> usize {
        self.urls.len()
    }

    /// Whether PD can give out timestamps.
    pub(crate) fn answers(&self) -> bool {
        self.leader.borrow().is_some() && !*self.frozen.borrow()
    }

    pub(crate) fn safe_points(&self) -> MutexGuard<'_, SafePoints> {
        self.safe_points.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn keyspace(&self, name: &str) -> Option<KeyspaceMeta> {
        (0..).zip(&self.keyspaces).find(|(_, known)| *known == name).map(|(id, name)| keyspace_meta(id, name))
    }

    /// The keyspaces starting with a number; a limit of zero means no limit.
    pub(crate) fn keyspaces_from(&self, first: u32, limit: u32) -> Vec<KeyspaceMeta> {
        let limit = if limit == 0 { usize::MAX } else { usize::try_from(limit).unwrap_or(usize::MAX) };
        let all = (0..).zip(&self.keyspaces);
        all.filter(|(id, _)| *id >= first).take(limit).map(|(id, name)| keyspace_meta(id, name)).collect()
    }

    pub(crate) fn get_members(&self, leader: Option<usize>) -> pdpb::GetMembersResponse {
        let members: Vec<pdpb::Member> =
            (0..).zip(&self.urls).map(|(index, url)| member(index, url, self.version)).collect();
        let leader = leader.and_then(|leader| members.get(leader).cloned());
        pdpb::GetMembersResponse {
            header: Some(self.header(None)),
            members,
            leader,
            ..pdpb::GetMembersResponse::default()
        }
    }

    pub(crate) fn header(&self, error: Option<pdpb::Error>) -> pdpb::ResponseHeader {
        pdpb::ResponseHeader { cluster_id: self.cluster_id, error, ..pdpb::ResponseHeader::default() }
    }
}

fn keyspace_meta(id: u32, name: &str) -> KeyspaceMeta {
    KeyspaceMeta {
        keyspace: Some(keyspace_meta::Keyspace::Id(id)),
        name: name.to_owned(),
        state: KeyspaceState::Enabled.into(),
        ..KeyspaceMeta::default()
    }
}

fn member(index: u64, url: &str, version: TikvVersion) -> pdpb::Member {
    pdpb::Member {
        name: format!("pd-{index}"),
        // Zero would mean no member at all.
        member_id: index + 1,
        peer_urls: vec![url.to_owned()],
        client_urls: vec![url.to_owned()],
        binary_version: version.number().to_owned(),
        ..pdpb::Member::default()
    }
}
