//! What a process leaves behind while it serves, for those who find it after its death.

use serde::{Deserialize, Serialize};
use tito_core::row::{StoredRow, UnknownMembers};
use tito_core::{BoxError, keeps_unknown_members};

/// How long a worker counts as alive after it last said so, in milliseconds.
pub(super) const LEASE_MILLIS: u64 = 30_000;

/// What is stored about a serving worker, under `process:{uuid}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Mark {
    pub(super) queues: Vec<String>,
    /// When it last said that it lives: that transaction's time, in milliseconds.
    pub(super) heartbeat: u64,
    pub(super) lease_millis: u64,
    /// The keys of the events that it had in hand; `None` if it kept no list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) in_hand: Option<Vec<String>>,
    /// Whether nothing ran in the process besides the one event in hand.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) alone: bool,
    /// Whether it was told to stop: then nobody is to blame for its end.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) stopping: bool,
    #[serde(skip)]
    pub(super) unknown: UnknownMembers,
}

keeps_unknown_members!(Mark);

impl StoredRow for Mark {
    const EXPECTED: &'static str = "the mark of a worker that serves in JSON";

    fn check(&self) -> Result<(), BoxError> {
        let count = self.in_hand.as_ref().map(Vec::len);
        if self.alone && count != Some(1) {
            return Err("one event in hand is alone, not several and not none".into());
        }
        Ok(())
    }
}

impl Mark {
    pub(super) fn new(queues: Vec<String>) -> Self {
        Self {
            queues,
            heartbeat: 0,
            lease_millis: LEASE_MILLIS,
            in_hand: None,
            alone: false,
            stopping: false,
            unknown: UnknownMembers::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn marks_are_read_and_written_again_as_the_page_of_the_format_says() {
        let page = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/format.md");
        let page = std::fs::read_to_string(page).unwrap();
        let vectors: Vec<_> = page.lines().filter_map(|line| line.strip_prefix("process_value ")).collect();
        assert!(vectors.len() >= 3);
        for value in vectors {
            let mark = Mark::decode(b"process:a", value.as_bytes()).unwrap();
            assert_eq!(String::from_utf8(mark.encode().unwrap()).unwrap(), value);
        }
    }

    #[test]
    fn what_is_no_mark_is_an_error_with_its_key() {
        for bytes in [r#"{}"#, r#"{"queues":[],"heartbeat":1,"lease_millis":1,"alone":true}"#, "[1]"] {
            let error = Mark::decode(b"process:17", bytes.as_bytes()).unwrap_err();
            assert!(error.to_string().contains("process:17"), "{error}");
        }
    }
}
