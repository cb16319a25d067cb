//! Keys of workers that are registered, and of what they are told.

use tito_core::keys::KeyRange;
use uuid::Uuid;

const WORKER: &str = "!worker:";
const RETIRE: &str = "!retire:";

fn of(kind: &str, id: Uuid) -> Vec<u8> {
    format!("{kind}{id}").into_bytes()
}

fn id_behind(kind: &str, key: &[u8]) -> Option<Uuid> {
    let id = std::str::from_utf8(key.strip_prefix(kind.as_bytes())?).ok()?;
    let parsed = Uuid::try_parse(id).ok()?;
    (parsed.to_string() == id).then_some(parsed)
}

/// `!worker:{worker}`: what a worker says of itself.
pub(crate) fn registered_worker(worker: Uuid) -> Vec<u8> {
    of(WORKER, worker)
}

/// All workers that say something of themselves.
pub(crate) fn registered_workers() -> KeyRange {
    KeyRange::prefix(WORKER)
}

/// The worker in the key of what it says of itself.
pub(crate) fn parse_registered_worker(key: &[u8]) -> Option<Uuid> {
    id_behind(WORKER, key)
}

/// `!retire:{worker}`: that a worker is to leave.
pub(crate) fn retirement(worker: Uuid) -> Vec<u8> {
    of(RETIRE, worker)
}

/// All workers that are to leave.
pub(crate) fn retirements() -> KeyRange {
    KeyRange::prefix(RETIRE)
}

/// The worker in the key that says that it is to leave.
pub(crate) fn parse_retirement(key: &[u8]) -> Option<Uuid> {
    id_behind(RETIRE, key)
}

/// The members of all fleets.
pub(crate) fn all_members() -> KeyRange {
    KeyRange::prefix("member:")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn keys_are_as_the_page_of_the_format_says() {
        let page = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/format.md");
        let page = std::fs::read_to_string(page).unwrap();
        let id = Uuid::parse_str("018bcfe5-6800-7000-8000-000000000000").unwrap();
        for key in [registered_worker(id), retirement(id)] {
            let key = String::from_utf8(key).unwrap();
            assert!(page.lines().any(|line| line == format!("worker_key {key}")), "{key}");
        }
        assert_eq!(parse_registered_worker(&registered_worker(id)), Some(id));
        assert_eq!(parse_retirement(&retirement(id)), Some(id));
        assert_eq!(parse_retirement(&registered_worker(id)), None);
        assert_eq!(parse_retirement(b"!retire:018BCFE5-6800-7000-8000-000000000000"), None, "it is written otherwise");
        assert!(registered_workers().contains(&registered_worker(id)) && retirements().contains(&retirement(id)));
    }
}
