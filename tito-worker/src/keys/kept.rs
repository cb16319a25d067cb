//! The keys of events that are not waiting to be handled: dead, done, moved or copied.

use tito_core::keys::KeyRange;
use tito_core::keys::build::{Kind, SEPARATOR, event_partition, event_place, key, push_uuid, uuid, with_separator};
use uuid::Uuid;

/// `dead:{queue}:{partition}:{timestamp}:{uuid}`: an event that failed for good.
pub fn dead_event(queue: &str, partition: u16, seconds: i64, id: Uuid) -> Vec<u8> {
    event_place(Kind::Dead, queue, partition, seconds, id)
}

/// All dead events of a topic.
pub fn dead_events(queue: &str) -> KeyRange {
    KeyRange::prefix(with_separator(key(Kind::Dead, &[queue.as_bytes()])))
}

/// All dead events of all queues.
pub fn all_dead_events() -> KeyRange {
    Kind::Dead.all()
}

/// The dead events of one partition.
pub fn dead_events_of_partition(queue: &str, partition: u16) -> KeyRange {
    KeyRange::prefix(event_partition(Kind::Dead, queue, partition))
}

/// `done:{queue}:{partition}:{timestamp}:{uuid}`: an event that was done, at this second, where its topic keeps history.
pub fn done_event(queue: &str, partition: u16, seconds: i64, id: Uuid) -> Vec<u8> {
    event_place(Kind::Done, queue, partition, seconds, id)
}

/// All events of a queue that were done.
pub fn done_events(queue: &str) -> KeyRange {
    KeyRange::prefix(with_separator(key(Kind::Done, &[queue.as_bytes()])))
}

/// All events of all queues that were done.
pub fn all_done_events() -> KeyRange {
    Kind::Done.all()
}

/// The events of one partition that were done.
pub fn done_events_of_partition(queue: &str, partition: u16) -> KeyRange {
    KeyRange::prefix(event_partition(Kind::Done, queue, partition))
}

/// `copied:{queue}:{uuid}`: that an earlier event was copied into a group, while its others are being copied.
pub fn copied_event(queue: &str, id: Uuid) -> Vec<u8> {
    let mut key = with_separator(key(Kind::Copied, &[queue.as_bytes()]));
    push_uuid(&mut key, id);
    key
}

/// All marks of copied events of a queue.
pub fn copied_events(queue: &str) -> KeyRange {
    KeyRange::prefix(with_separator(key(Kind::Copied, &[queue.as_bytes()])))
}

/// `!moved:{queue}:{uuid}`: where an event lies that was moved.
pub fn moved_event(queue: &str, id: Uuid) -> Vec<u8> {
    let mut key = with_separator(key(Kind::Moved, &[queue.as_bytes()]));
    push_uuid(&mut key, id);
    key
}

/// All notes of moved events of a queue.
pub fn moved_events(queue: &str) -> KeyRange {
    KeyRange::prefix(with_separator(key(Kind::Moved, &[queue.as_bytes()])))
}

/// The id in the key of a note of a moved event.
pub fn parse_moved_event_id(key: &[u8]) -> Option<Uuid> {
    uuid(key.rsplit(|&byte| byte == SEPARATOR).next().filter(|_| Kind::Moved.strip(key).is_some())?)
}
