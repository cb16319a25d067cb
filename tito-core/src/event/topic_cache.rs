//! Recently read topics, so that a write need not read them.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use super::topic::Topic;

/// How long a topic that was read counts as current.
pub const CACHED: Duration = Duration::from_secs(5);

/// Topics by name, each with when it was read. See [`Topic::cached`].
#[derive(Debug, Default)]
pub struct TopicCache(RwLock<HashMap<Arc<str>, Cached>>);

#[derive(Debug)]
struct Cached {
    topic: Arc<Topic>,
    read_at_millis: u64,
}

impl TopicCache {
    pub(super) fn load(&self, name: &str, monotonic_millis: u64) -> Option<(Arc<str>, Arc<Topic>)> {
        let topics = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let (name, cached) = topics.get_key_value(name)?;
        let is_current = monotonic_millis.saturating_sub(cached.read_at_millis) < CACHED.as_millis() as u64;
        is_current.then(|| (name.clone(), cached.topic.clone()))
    }

    /// The revision of the latest state of a topic that this process has read or made; 0 if there is none.
    pub fn known_revision(&self, name: &str) -> u64 {
        let topics = self.0.read().unwrap_or_else(PoisonError::into_inner);
        topics.get(name).map_or(0, |cached| cached.topic.revision)
    }

    /// Keeps a topic that was read, unless a later state of it is known.
    pub(super) fn store(&self, name: &str, topic: Topic, read_at_millis: u64) -> Arc<Topic> {
        let mut topics = self.0.write().unwrap_or_else(PoisonError::into_inner);
        match topics.get_mut(name) {
            Some(cached) if cached.topic.revision > topic.revision => Arc::new(topic),
            Some(cached) if *cached.topic == topic => {
                cached.read_at_millis = read_at_millis;
                cached.topic.clone()
            }
            _ => {
                let topic = Arc::new(topic);
                topics.insert(name.into(), Cached { topic: topic.clone(), read_at_millis });
                topic
            }
        }
    }
}
