//! What is stored of a worker that is registered.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use tito_core::row::{StoredRow, UnknownMembers};
use tito_core::{BoxError, keeps_unknown_members};

use super::running::RunningHandler;
use crate::partitions::PartitionConfig;
use crate::policy::LimitedBy;

/// How many lease times the row of a worker that has died is kept.
const KEPT_LEASE_TIMES: u64 = 10;

/// What is stored under `!worker:{worker}`. Nobody but the worker writes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct WorkerRow {
    pub(super) queues: BTreeSet<String>,
    /// When it last said that it lives: what was now to that transaction, in milliseconds.
    pub(super) heartbeat: u64,
    pub(super) lease_millis: u64,
    /// When it began: what was now, in milliseconds.
    pub(super) started: u64,
    /// What its operator calls it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) name: Option<String>,
    /// The version of its application.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) version: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) host: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) process_id: Option<u32>,
    /// The fleet that it is a member of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) fleet: Option<String>,
    /// The share of partitions that it was told, where it is not a member of a fleet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) share: Option<PartitionConfig>,
    /// The latest version of payloads that it knows, of each queue whose payloads have a type.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) known_versions: BTreeMap<String, u32>,
    /// Whether it knows that it is to leave.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) retiring: bool,
    /// How many events its handlers are working on, by queue.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) in_flight: BTreeMap<String, u64>,
    /// The queues of which a limit keeps more events from being handed out, and which.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) limited: BTreeMap<String, LimitedBy>,
    /// The handlers that run longest.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) running: Vec<RunningHandler>,
    #[serde(skip)]
    pub(super) unknown: UnknownMembers,
}

keeps_unknown_members!(WorkerRow);

impl StoredRow for WorkerRow {
    const EXPECTED: &'static str = "a worker that is registered in JSON";

    fn check(&self) -> Result<(), BoxError> {
        Ok(())
    }
}

impl WorkerRow {
    /// Whether it lives at this time. A heartbeat of the future counts as one of now.
    pub(super) fn is_live(&self, now_millis: u64) -> bool {
        now_millis.saturating_sub(self.heartbeat) < self.lease_millis
    }

    /// Whether it is dead for so long that nobody needs its row any more.
    pub(super) fn is_long_dead(&self, now_millis: u64) -> bool {
        now_millis.saturating_sub(self.heartbeat) >= self.lease_millis.saturating_mul(1 + KEPT_LEASE_TIMES)
    }
}

/// What is stored under `!retire:{worker}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct RetirementRow {
    /// When it was asked for: what was now, in milliseconds.
    pub(super) asked: u64,
    #[serde(skip)]
    pub(super) unknown: UnknownMembers,
}

keeps_unknown_members!(RetirementRow);

impl StoredRow for RetirementRow {
    const EXPECTED: &'static str = "that a worker is to leave in JSON";

    fn check(&self) -> Result<(), BoxError> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn page() -> String {
        let page = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/format.md");
        std::fs::read_to_string(page).unwrap()
    }

    #[test]
    fn workers_are_read_and_written_again_as_the_page_of_the_format_says() {
        let page = page();
        let vectors: Vec<_> = page.lines().filter_map(|line| line.strip_prefix("worker_value ")).collect();
        assert!(vectors.len() >= 5);
        for value in vectors {
            let row = WorkerRow::decode(b"!worker:a", value.as_bytes()).unwrap();
            assert_eq!(String::from_utf8(row.encode().unwrap()).unwrap(), value);
        }
        let retirement = page.lines().find_map(|line| line.strip_prefix("retire_value ")).unwrap();
        let row = RetirementRow::decode(b"!retire:a", retirement.as_bytes()).unwrap();
        assert_eq!(String::from_utf8(row.encode().unwrap()).unwrap(), retirement);
    }

    #[test]
    fn a_row_of_a_later_release_is_read() {
        let row = br#"{"queues":["mail"],"heartbeat":5,"lease_millis":30000,"started":1,"mood":"good"}"#;
        assert!(WorkerRow::decode(b"!worker:a", row).unwrap().is_live(6));
    }

    #[test]
    fn ten_thousand_damaged_rows_cause_no_panic() {
        let mut random = fastrand::Rng::with_seed(7);
        let page = page();
        let valid: Vec<_> = page.lines().filter_map(|line| line.strip_prefix("worker_value ")).collect();
        for _ in 0..10_000 {
            let mut bytes = valid[random.usize(..valid.len())].as_bytes().to_vec();
            for _ in 0..random.usize(1..6) {
                let at = random.usize(..bytes.len());
                bytes[at] = random.u8(..);
            }
            bytes.truncate(random.usize(..=bytes.len()));
            if let Ok(row) = WorkerRow::decode(b"!worker:a", &bytes) {
                let now = random.u64(..);
                assert!(row.lease_millis == 0 || !(row.is_live(now) && row.is_long_dead(now)));
            }
        }
    }
}
