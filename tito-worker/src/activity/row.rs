//! One minute of a process, as it is stored.

use serde::{Deserialize, Serialize};
use tito_core::keeps_unknown_members;
use tito_core::row::{StoredRow, UnknownMembers};

use super::Minute;

/// What is stored under `!activity:{minute}:{process}`. Nobody but the process writes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ActivityRow {
    pub(crate) queues: Minute,
    #[serde(skip)]
    pub(crate) unknown: UnknownMembers,
}

keeps_unknown_members!(ActivityRow);

impl StoredRow for ActivityRow {
    const EXPECTED: &'static str = "what a process did in a minute in JSON";
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn rows_are_read_and_written_again_as_the_page_of_the_format_says() {
        let page = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/format.md");
        let page = std::fs::read_to_string(page).unwrap();
        let vectors: Vec<_> = page.lines().filter_map(|line| line.strip_prefix("activity_value ")).collect();
        assert!(!vectors.is_empty());
        for value in vectors {
            let row = ActivityRow::decode(b"!activity:a", value.as_bytes()).unwrap();
            assert_eq!(String::from_utf8(row.encode().unwrap()).unwrap(), value);
        }
    }
}
