//! The keys of topics and of the events published to them.

use uuid::Uuid;
use uuid::fmt::Hyphenated;
use xxhash_rust::xxh3::xxh3_64;

use super::build::{SEPARATOR, digits, event_partition, event_place, event_second, key, text, uuid, with_separator};
use super::kind::Kind;
use super::range::KeyRange;

/// `topic:{topic}`: what is stored of a topic.
pub fn topic(topic: &str) -> Vec<u8> {
    key(Kind::Topic, &[topic.as_bytes()])
}

/// All topics.
pub fn topics() -> KeyRange {
    Kind::Topic.all()
}

/// The name in the key of a topic.
pub fn parse_topic(key: &[u8]) -> Option<String> {
    text(Kind::Topic.strip(key)?)
}

/// Where an event lies: its queue, partition, the second it falls due and its id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventPlace {
    /// The queue: the topic, or `topic@group`.
    pub queue: String,
    /// The partition of the queue.
    pub partition: u16,
    /// Unix seconds.
    pub seconds: i64,
    /// The event's id.
    pub id: Uuid,
}

/// `event:{queue}:{partition}:{timestamp}:{uuid}`: an event that has not been done.
pub fn event(queue: &str, partition: u16, seconds: i64, id: Uuid) -> Vec<u8> {
    event_place(Kind::Event, queue, partition, seconds, id)
}

/// All events of all queues, due or not.
pub fn events() -> KeyRange {
    Kind::Event.all()
}

/// Whether a key is that of an event, due or not: one of [`events`].
pub fn is_event(key: &[u8]) -> bool {
    Kind::Event.strip(key).is_some()
}

/// All events of a partition, due or not.
pub fn events_of_partition(queue: &str, partition: u16) -> KeyRange {
    KeyRange::prefix(event_partition(Kind::Event, queue, partition))
}

/// All events of a queue, due or not.
pub fn events_of_queue(queue: &str) -> KeyRange {
    KeyRange::prefix(with_separator(key(Kind::Event, &[queue.as_bytes()])))
}

/// Where the events of one second begin.
pub fn events_from_second(queue: &str, partition: u16, seconds: i64) -> Vec<u8> {
    event_second(Kind::Event, queue, partition, seconds)
}

/// The queue in the key of an event that has not been done, as it is written there.
pub(crate) fn queue_part(key: &[u8]) -> Option<&[u8]> {
    Kind::Event.strip(key)?.split(|&byte| byte == SEPARATOR).next()
}

/// The parts of the key of an event: one to be done, dead or done.
pub fn parse_event(key: &[u8]) -> Option<EventPlace> {
    let (queue, partition, seconds, id) = split_event(key)?;
    Some(EventPlace { queue: text(queue)?, partition, seconds, id })
}

/// The second and the id in the key of an event, without looking at its queue.
pub fn parse_event_second_and_id(key: &[u8]) -> Option<(i64, Uuid)> {
    split_event(key).map(|(_, _, seconds, id)| (seconds, id))
}

/// The second in the key of an event, without looking at the rest.
pub fn parse_event_second(key: &[u8]) -> Option<i64> {
    let mut components = key.split(|&byte| byte == SEPARATOR);
    digits(components.nth(3)?, 10).map(|seconds| seconds as i64)
}

/// The partition in the key of an event, without looking at the rest.
pub fn parse_event_partition(key: &[u8]) -> Option<u16> {
    let mut components = key.split(|&byte| byte == SEPARATOR);
    digits(components.nth(2)?, 4).map(|partition| partition as u16)
}

/// The parts of the key of an event, with its queue as it is written. Parsed from the end, where all parts have fixed
/// lengths.
fn split_event(key: &[u8]) -> Option<(&[u8], u16, i64, Uuid)> {
    let (rest, id) = split_last(key, Hyphenated::LENGTH)?;
    let (rest, seconds) = split_last(rest, 10)?;
    let (rest, partition) = split_last(rest, 4)?;
    let queue = [Kind::Event, Kind::Dead, Kind::Done].iter().find_map(|kind| kind.strip(rest))?;
    let partition = digits(partition, 4)? as u16;
    (!queue.contains(&SEPARATOR)).then_some((queue, partition, digits(seconds, 10)? as i64, uuid(id)?))
}

/// The last component of a key, which has a known length, and what comes before its separator.
fn split_last(key: &[u8], length: usize) -> Option<(&[u8], &[u8])> {
    let (rest, component) = key.split_at_checked(key.len().checked_sub(length)?)?;
    Some((rest.strip_suffix(&[SEPARATOR])?, component))
}

/// The partition of an entity: `xxh3_64(entity) % partitions`.
///
/// # Panics
/// If there is no partition.
pub fn partition_of(entity: &str, partitions: u16) -> u16 {
    assert!(partitions > 0, "a topic has a partition at least, which is checked wherever one is made or read");
    (xxh3_64(entity.as_bytes()) % u64::from(partitions)) as u16
}
