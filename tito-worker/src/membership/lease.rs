//! Leases: which member owns a partition.

use serde::{Deserialize, Serialize};
use tito_core::row::{StoredRow, UnknownMembers};
use tito_core::{BoxError, keeps_unknown_members};
use uuid::Uuid;

use crate::keys;

/// The right to serve a partition. The epoch grows whenever the partition is claimed, so no two rights are the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Lease {
    pub(crate) member: Uuid,
    pub(crate) epoch: u64,
}

impl Lease {
    /// Where the lease of a partition lies.
    pub(crate) fn key(queue: &str, partition: u16) -> Vec<u8> {
        keys::lease(queue, partition)
    }

    /// Whether this lease is the one that lies under its key. What can't be read is no lease of anybody's.
    pub(crate) fn is_held(&self, stored: Option<&[u8]>) -> bool {
        stored.and_then(|bytes| LeaseRow::decode(&[], bytes).ok()).is_some_and(|row| row.is(self))
    }
}

/// What is stored of a lease: written when a partition is claimed and when it is given back, not in between. Whether the
/// owner lives is in the owner's own row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct LeaseRow {
    /// The owner; none if the partition was given back.
    pub(super) member: Option<Uuid>,
    /// The fleet that the owner is a member of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) fleet: Option<String>,
    /// How often the partition was claimed.
    pub(super) epoch: u64,
    #[serde(skip)]
    pub(super) unknown: UnknownMembers,
}

keeps_unknown_members!(LeaseRow);

impl StoredRow for LeaseRow {
    const EXPECTED: &'static str = "a lease in JSON: an epoch, and a member with its fleet or null";

    fn check(&self) -> Result<(), BoxError> {
        if self.member.is_some() != self.fleet.is_some() {
            return Err("a member and its fleet belong together".into());
        }
        Ok(())
    }
}

impl LeaseRow {
    pub(super) fn is(&self, lease: &Lease) -> bool {
        self.member == Some(lease.member) && self.epoch == lease.epoch
    }

    /// The row of the owner, whose heartbeat says whether it lives.
    pub(super) fn owner_key(&self) -> Option<Vec<u8>> {
        Some(keys::member(self.fleet.as_deref()?, self.member?))
    }

    /// A lease that nobody holds.
    pub(super) fn free(epoch: u64) -> Self {
        Self { member: None, fleet: None, epoch, unknown: UnknownMembers::default() }
    }

    /// The same lease given back.
    pub(super) fn given_back(self) -> Self {
        Self { member: None, fleet: None, ..self }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn row(member: u128, epoch: u64) -> LeaseRow {
        LeaseRow { member: Some(Uuid::from_u128(member)), fleet: Some("billing".to_string()), ..LeaseRow::free(epoch) }
    }

    #[test]
    fn a_lease_is_held_by_its_member_in_its_epoch_only() {
        let lease = Lease { member: Uuid::from_u128(1), epoch: 7 };
        let stored = |row: LeaseRow| row.encode().unwrap();
        assert!(lease.is_held(Some(&stored(row(1, 7)))));
        assert!(!lease.is_held(Some(&stored(row(1, 8)))));
        assert!(!lease.is_held(Some(&stored(row(2, 7)))));
        assert!(!lease.is_held(Some(&stored(row(1, 7).given_back()))));
        assert!(!lease.is_held(Some(b"{")));
        assert!(!lease.is_held(None));
    }

    #[test]
    fn a_lease_is_stored_as_json() {
        let text = String::from_utf8(row(1, 7).encode().unwrap()).unwrap();
        assert_eq!(text, r#"{"member":"00000000-0000-0000-0000-000000000001","fleet":"billing","epoch":7}"#);
        let text = String::from_utf8(row(1, 7).given_back().encode().unwrap()).unwrap();
        assert_eq!(text, r#"{"member":null,"epoch":7}"#);
    }

    #[test]
    fn an_error_names_the_key_of_what_is_no_lease() {
        for bytes in [&b"nonsense"[..], b"{}", b"{\"member\":\"00000000-0000-0000-0000-000000000001\",\"epoch\":1}"] {
            let error = LeaseRow::decode(b"lease:user:0003", bytes).unwrap_err();
            assert!(error.to_string().contains("lease:user:0003"), "{error}");
        }
    }

    #[test]
    fn ten_thousand_random_byte_strings_are_no_lease_and_cause_no_panic() {
        let mut random = fastrand::Rng::with_seed(4);
        let valid = row(1, 7).encode().unwrap();
        for _ in 0..10_000 {
            let mut bytes = valid.clone();
            for _ in 0..random.usize(1..6) {
                let at = random.usize(..bytes.len());
                bytes[at] = random.u8(..);
            }
            bytes.truncate(random.usize(..=bytes.len()));
            let read = LeaseRow::decode(b"lease:user:0003", &bytes);
            assert!(read.is_err() || serde_json::from_slice::<serde_json::Value>(&bytes).is_ok());
        }
    }
}
