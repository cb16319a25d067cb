//! The keys of who serves: processes, members of fleets and their leases.

use tito_core::keys::KeyRange;
use tito_core::keys::build::{Kind, SEPARATOR, digits, key, push_partition, push_uuid, text, uuid, with_separator};
use uuid::Uuid;

/// `process:{worker}`: a worker that serves, or has died while it did.
pub fn process(worker: Uuid) -> Vec<u8> {
    let mut key = key(Kind::Process, &[]);
    push_uuid(&mut key, worker);
    key
}

/// All workers that serve, or have died while they did.
pub fn processes() -> KeyRange {
    Kind::Process.all()
}

/// The worker in the key of one that serves.
pub fn parse_process(key: &[u8]) -> Option<Uuid> {
    uuid(Kind::Process.strip(key)?)
}

/// `member:{fleet}:{worker}`: a worker that is alive.
pub fn member(fleet: &str, worker: Uuid) -> Vec<u8> {
    let mut key = with_separator(key(Kind::Member, &[fleet.as_bytes()]));
    push_uuid(&mut key, worker);
    key
}

/// All members of a fleet.
pub fn members(fleet: &str) -> KeyRange {
    KeyRange::prefix(with_separator(key(Kind::Member, &[fleet.as_bytes()])))
}

/// The fleet and the worker in the key of a member.
pub fn parse_member(key: &[u8]) -> Option<(String, Uuid)> {
    let mut components = Kind::Member.strip(key)?.split(|&byte| byte == SEPARATOR);
    let fleet = text(components.next()?)?;
    let worker = uuid(components.next()?)?;
    components.next().is_none().then_some((fleet, worker))
}

/// `lease:{queue}:{partition}`: who owns a partition.
pub fn lease(queue: &str, partition: u16) -> Vec<u8> {
    let mut key = with_separator(key(Kind::Lease, &[queue.as_bytes()]));
    push_partition(&mut key, partition);
    key
}

/// All leases of a queue.
pub fn leases(queue: &str) -> KeyRange {
    KeyRange::prefix(with_separator(key(Kind::Lease, &[queue.as_bytes()])))
}

/// The queue and the partition in the key of a lease.
pub fn parse_lease(key: &[u8]) -> Option<(String, u16)> {
    let mut components = Kind::Lease.strip(key)?.split(|&byte| byte == SEPARATOR);
    let queue = text(components.next()?)?;
    let partition = digits(components.next()?, 4)? as u16;
    components.next().is_none().then_some((queue, partition))
}
