//! The keys of schedules, of unique events and of the low watermarks of partitions.

use tito_core::keys::KeyRange;
use tito_core::keys::build::{Kind, key, push_partition, text, with_separator};

/// `schedule:{name}`: a periodic schedule.
pub fn schedule(name: &str) -> Vec<u8> {
    key(Kind::Schedule, &[name.as_bytes()])
}

/// All periodic schedules.
pub fn schedules() -> KeyRange {
    Kind::Schedule.all()
}

/// The name in the key of a periodic schedule.
pub fn parse_schedule(key: &[u8]) -> Option<String> {
    text(Kind::Schedule.strip(key)?).filter(|name| !name.is_empty())
}

/// `dedup:{topic}:{key}`: the latest event with a key of its own.
pub fn unique_event(topic: &str, unique_key: &str) -> Vec<u8> {
    key(Kind::Dedup, &[topic.as_bytes(), unique_key.as_bytes()])
}

/// All unique events of a topic.
pub fn unique_events(topic: &str) -> KeyRange {
    KeyRange::prefix(with_separator(key(Kind::Dedup, &[topic.as_bytes()])))
}

/// All unique events of all topics.
pub fn all_unique_events() -> KeyRange {
    Kind::Dedup.all()
}

/// `checkpoint:{queue}:{partition}`: the low watermark of a partition, where its scans begin.
pub fn low_watermark(queue: &str, partition: u16) -> Vec<u8> {
    let mut key = with_separator(key(Kind::LowWatermark, &[queue.as_bytes()]));
    push_partition(&mut key, partition);
    key
}

/// All low watermarks of a queue.
pub fn low_watermarks(queue: &str) -> KeyRange {
    KeyRange::prefix(with_separator(key(Kind::LowWatermark, &[queue.as_bytes()])))
}
