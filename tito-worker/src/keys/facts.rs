//! Keys of workers that are registered, and of what they are told.

use tito_core::keys::KeyRange;
use tito_core::keys::build::{Kind, digits, key, push_digits, push_partition, push_uuid, text, uuid, with_separator};
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

/// `!backlog:{queue}:{partition}`: how much of a partition is due, as its owner has counted.
pub(crate) fn backlog(queue: &str, partition: u16) -> Vec<u8> {
    let mut key = with_separator(key(Kind::Backlog, &[queue.as_bytes()]));
    push_partition(&mut key, partition);
    key
}

/// How much of each partition of a queue is due.
pub(crate) fn backlogs(queue: &str) -> KeyRange {
    KeyRange::prefix(with_separator(key(Kind::Backlog, &[queue.as_bytes()])))
}

/// `!looked:{queue}`: that somebody wants to know how much of a queue is due.
pub(crate) fn looked(queue: &str) -> Vec<u8> {
    key(Kind::Looked, &[queue.as_bytes()])
}

/// All queues of which somebody wants to know that.
pub(crate) fn all_looked() -> KeyRange {
    Kind::Looked.all()
}

/// The queue in the key that says that somebody wants to know of it.
pub(crate) fn parse_looked(key: &[u8]) -> Option<String> {
    text(Kind::Looked.strip(key)?)
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
        let keys = [registered_worker(id), retirement(id), activity(28_333_333, id)];
        for key in keys.into_iter().chain([backlog("job@mail", 3), looked("job@mail")]) {
            let key = String::from_utf8(key).unwrap();
            assert!(page.lines().any(|line| line == format!("worker_key {key}")), "{key}");
        }
        assert_eq!(parse_registered_worker(&registered_worker(id)), Some(id));
        assert_eq!(parse_retirement(&retirement(id)), Some(id));
        assert_eq!(parse_activity(&activity(28_333_333, id)), Some((28_333_333, id)));
        assert!(
            activity_between(7, 8).contains(&activity(7, id)) && !activity_between(7, 8).contains(&activity(8, id))
        );
        assert_eq!(parse_looked(&looked("a:b")).as_deref(), Some("a:b"));
        assert!(backlogs("job").contains(&backlog("job", 0)) && !backlogs("job").contains(&backlog("job@a", 0)));
        assert!(all_looked().contains(&looked("job")));
        assert_eq!(parse_retirement(&registered_worker(id)), None);
        assert_eq!(parse_retirement(b"!retire:018BCFE5-6800-7000-8000-000000000000"), None, "it is written otherwise");
        assert!(registered_workers().contains(&registered_worker(id)) && retirements().contains(&retirement(id)));
    }
}
