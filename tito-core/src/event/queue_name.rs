//! Queues: what workers consume. A topic has one of its own, and one for each group.

use crate::error::Result;
use crate::names;

/// The name of a topic's queue: `{topic}`, or `{topic}@{group}` for a group.
pub fn queue_name(topic: &str, group: Option<&str>) -> String {
    match group {
        None => topic.to_string(),
        Some(group) => format!("{topic}@{group}"),
    }
}

/// The topic of a queue, and the group if it is a group's.
pub fn topic_of(queue: &str) -> (&str, Option<&str>) {
    match queue.split_once('@') {
        None => (queue, None),
        Some((topic, group)) => (topic, Some(group)),
    }
}

/// Checks the name of a queue.
///
/// # Errors
/// [`TitoError::InvalidName`](crate::TitoError::InvalidName).
pub fn check_queue_name(queue: &str) -> Result<()> {
    let (topic, group) = topic_of(queue);
    names::check_event_type(topic)?;
    group.map_or(Ok(()), check_group_name)
}

/// Checks the name of a group: 1 to 255 bytes without `:`, `@` and control characters.
///
/// # Errors
/// [`TitoError::InvalidName`](crate::TitoError::InvalidName).
pub fn check_group_name(group: &str) -> Result<()> {
    names::check_group(group)
}
