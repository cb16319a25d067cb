//! Keys of workers that are registered, and of what they are told.

use tito_core::keys::KeyRange;
use tito_core::keys::build::{Kind, push_uuid, uuid};
use uuid::Uuid;

fn of(kind: Kind, id: Uuid) -> Vec<u8> {
    let mut key = kind.prefix().as_bytes().to_vec();
    push_uuid(&mut key, id);
    key
}

/// `!worker:{worker}`: what a worker says of itself.
pub fn registered_worker(worker: Uuid) -> Vec<u8> {
    of(Kind::Worker, worker)
}

/// All workers that say something of themselves.
pub fn registered_workers() -> KeyRange {
    Kind::Worker.all()
}

/// The worker in the key of what it says of itself.
pub fn parse_registered_worker(key: &[u8]) -> Option<Uuid> {
    uuid(Kind::Worker.strip(key)?)
}

/// `!retire:{worker}`: that a worker is to leave.
pub fn retirement(worker: Uuid) -> Vec<u8> {
    of(Kind::Retire, worker)
}

/// All workers that are to leave.
pub fn retirements() -> KeyRange {
    Kind::Retire.all()
}

/// The worker in the key that says that it is to leave.
pub fn parse_retirement(key: &[u8]) -> Option<Uuid> {
    uuid(Kind::Retire.strip(key)?)
}

/// The members of all fleets.
pub fn all_members() -> KeyRange {
    Kind::Member.all()
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
