//! Keys of workers that are registered, and of what they are told.

use tito_core::keys::KeyRange;
use tito_core::keys::build::{Kind, digits, key, push_digits, push_uuid, uuid, with_separator};
use uuid::Uuid;

/// Enough for a minute of the year 20,000.
const MINUTE_DIGITS: usize = 10;

fn of(kind: Kind, id: Uuid) -> Vec<u8> {
    let mut key = key(kind, &[]);
    push_uuid(&mut key, id);
    key
}

/// `!worker:{worker}`: what a worker says of itself.
pub(crate) fn registered_worker(worker: Uuid) -> Vec<u8> {
    of(Kind::Worker, worker)
}

/// All workers that say something of themselves.
pub(crate) fn registered_workers() -> KeyRange {
    Kind::Worker.all()
}

/// The worker in the key of what it says of itself.
pub(crate) fn parse_registered_worker(key: &[u8]) -> Option<Uuid> {
    uuid(Kind::Worker.strip(key)?)
}

/// `!retire:{worker}`: that a worker is to leave.
pub(crate) fn retirement(worker: Uuid) -> Vec<u8> {
    of(Kind::Retire, worker)
}

/// All workers that are to leave.
pub(crate) fn retirements() -> KeyRange {
    Kind::Retire.all()
}

/// The worker in the key that says that it is to leave.
pub(crate) fn parse_retirement(key: &[u8]) -> Option<Uuid> {
    uuid(Kind::Retire.strip(key)?)
}

/// `!activity:{minute}:{process}`: what a process did in a minute, counted since the Unix epoch.
pub(crate) fn activity(minute: u64, process: Uuid) -> Vec<u8> {
    let mut key = with_separator(activity_from(minute));
    push_uuid(&mut key, process);
    key
}

fn activity_from(minute: u64) -> Vec<u8> {
    let mut key = key(Kind::Activity, &[]);
    push_digits(&mut key, minute, MINUTE_DIGITS);
    key
}

/// What all processes did from one minute on and before another one.
pub(crate) fn activity_between(from: u64, until: u64) -> KeyRange {
    KeyRange::new(activity_from(from), activity_from(until))
}

/// The minute and the process in the key of what a process did.
pub(crate) fn parse_activity(key: &[u8]) -> Option<(u64, Uuid)> {
    let rest = Kind::Activity.strip(key)?;
    let (minute, process) = rest.split_at_checked(MINUTE_DIGITS)?;
    Some((digits(minute, MINUTE_DIGITS)?, uuid(process.strip_prefix(b":")?)?))
}

/// The members of all fleets.
pub(crate) fn all_members() -> KeyRange {
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
        for key in [registered_worker(id), retirement(id), activity(28_333_333, id)] {
            let key = String::from_utf8(key).unwrap();
            assert!(page.lines().any(|line| line == format!("worker_key {key}")), "{key}");
        }
        assert_eq!(parse_registered_worker(&registered_worker(id)), Some(id));
        assert_eq!(parse_retirement(&retirement(id)), Some(id));
        assert_eq!(parse_activity(&activity(28_333_333, id)), Some((28_333_333, id)));
        assert!(
            activity_between(7, 8).contains(&activity(7, id)) && !activity_between(7, 8).contains(&activity(8, id))
        );
        assert_eq!(parse_retirement(&registered_worker(id)), None);
        assert_eq!(parse_retirement(b"!retire:018BCFE5-6800-7000-8000-000000000000"), None, "it is written otherwise");
        assert!(registered_workers().contains(&registered_worker(id)) && retirements().contains(&retirement(id)));
    }
}
