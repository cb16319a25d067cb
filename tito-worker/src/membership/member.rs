//! Members: workers of a fleet that say that they live.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tito_core::row::{StoredRow, UnknownMembers};
use tito_core::{BoxError, keeps_unknown_members};

/// A shorter lease would be lost to any hiccup of the storage.
pub(super) const SHORTEST_LEASE: Duration = Duration::from_secs(1);

/// A longer one would leave the partitions of a dead worker unserved for longer than anybody can want.
pub(super) const LONGEST_LEASE: Duration = Duration::from_secs(24 * 60 * 60);

/// A member's row is removed when it has been dead for this many lease times.
const KEPT_LEASE_TIMES: u64 = 10;

/// What is stored of a member, under `member:{fleet}:{worker}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct MemberRow {
    /// The queues that it serves; none once it is leaving.
    pub(super) queues: BTreeSet<String>,
    /// When it last said that it lives: what was now to that transaction, in milliseconds.
    pub(super) heartbeat: u64,
    /// How long it counts as live after its heartbeat.
    pub(super) lease_millis: u64,
    /// When it joined: what was now, in milliseconds.
    pub(super) started: u64,
    /// What its operator calls it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) name: Option<String>,
    /// How many events its handlers were working on, by queue.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) in_flight: BTreeMap<String, u64>,
    #[serde(skip)]
    pub(super) unknown: UnknownMembers,
}

keeps_unknown_members!(MemberRow);

impl StoredRow for MemberRow {
    const EXPECTED: &'static str = "a member of a fleet in JSON with a lease of 1 s to 1 day";

    fn check(&self) -> Result<(), BoxError> {
        if (SHORTEST_LEASE..=LONGEST_LEASE).contains(&Duration::from_millis(self.lease_millis)) {
            return Ok(());
        }
        Err(format!("a lease of {} ms", self.lease_millis).into())
    }
}

impl MemberRow {
    /// Whether it lives, as seen by a transaction for which it was `now_millis`. A heartbeat of the future counts as one of
    /// now: who looks again and again outlives it by its [`Sightings`](super::sightings::Sightings).
    pub(super) fn is_live(&self, now_millis: u64) -> bool {
        self.is_live_at_age(now_millis.saturating_sub(self.heartbeat))
    }

    /// Whether it lives so many milliseconds after its heartbeat.
    pub(super) fn is_live_at_age(&self, age_millis: u64) -> bool {
        age_millis < self.lease_millis
    }

    /// Whether it is dead for so long that nobody needs its row any more.
    pub(super) fn is_long_dead(&self, now_millis: u64) -> bool {
        let kept = self.lease_millis.saturating_mul(1 + KEPT_LEASE_TIMES);
        now_millis.checked_sub(self.heartbeat).is_some_and(|age| age >= kept)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn member() -> MemberRow {
        MemberRow {
            queues: BTreeSet::from(["user".to_string()]),
            heartbeat: 100_000,
            lease_millis: 15_000,
            started: 90_000,
            name: None,
            in_flight: BTreeMap::new(),
            unknown: UnknownMembers::default(),
        }
    }

    #[test]
    fn a_member_lives_until_its_lease_time_after_its_heartbeat() {
        let member = member();
        assert!(member.is_live(100_000));
        assert!(member.is_live(114_999));
        assert!(!member.is_live(115_000));
        assert!(member.is_live(99_999), "a heartbeat of the future");
        assert!(!member.is_long_dead(264_999));
        assert!(member.is_long_dead(265_000));
    }

    #[test]
    fn a_member_is_read_as_it_was_written() {
        let mut named = member();
        named.name = Some("host-3".to_string());
        named.in_flight.insert("user".to_string(), 4);
        for member in [member(), named] {
            assert_eq!(MemberRow::decode(b"member:a:b", &member.encode().unwrap()).unwrap(), member);
        }
    }

    #[test]
    fn an_error_names_the_key_of_what_is_no_member() {
        let mut eternal = member();
        eternal.lease_millis = u64::MAX;
        let mut hasty = member();
        hasty.lease_millis = 999;
        for bytes in [b"[1]".to_vec(), b"{}".to_vec(), eternal.encode().unwrap(), hasty.encode().unwrap()] {
            let error = MemberRow::decode(b"member:billing:17", &bytes).unwrap_err();
            assert!(error.to_string().contains("member:billing:17"), "{error}");
        }
    }

    #[test]
    fn ten_thousand_damaged_rows_cause_no_panic() {
        let mut random = fastrand::Rng::with_seed(5);
        let valid = member().encode().unwrap();
        for _ in 0..10_000 {
            let mut bytes = valid.clone();
            for _ in 0..random.usize(1..6) {
                let at = random.usize(..bytes.len());
                bytes[at] = random.u8(..);
            }
            bytes.truncate(random.usize(..=bytes.len()));
            if let Ok(member) = MemberRow::decode(b"member:a:b", &bytes) {
                let now = random.u64(..);
                assert!(!(member.is_live(now) && member.is_long_dead(now)));
            }
        }
    }
}
