//! Topics: what is stored of an event type.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use serde::{Deserialize, Serialize};

use crate::engine::{TitoEngine, TitoTransaction};
use crate::error::{KeyText, Result, TitoError};
use crate::keys;
use crate::names;

/// How many partitions a topic gets when it is first used, unless it was created with another number.
pub const DEFAULT_PARTITIONS: u16 = 16;

/// How long a topic that was read is taken as current.
const CACHED_MILLIS: u64 = 5_000;

/// What is stored of an event type, under `topic:{type}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Topic {
    /// How many partitions its events are spread over.
    pub partitions: u16,
}

impl Topic {
    /// The topic, created with `partitions` partitions if it did not exist. The number of an existing topic stays.
    ///
    /// # Errors
    /// [`TitoError::InvalidName`] for a name that can't be a topic, [`TitoError::LimitExceeded`] for a number of
    /// partitions out of 1 to 9,999, and those of the engine.
    pub async fn ensure<E: TitoEngine>(engine: &E, name: &str, partitions: u16) -> Result<Arc<Topic>> {
        names::check_event_type(name)?;
        let key = keys::topic(name);
        if partitions == 0 || partitions > keys::MAX_PARTITIONS {
            return Err(TitoError::LimitExceeded {
                what: "a topic's number of partitions (at least 1)",
                size: usize::from(partitions),
                limit: usize::from(keys::MAX_PARTITIONS),
                key: key.into(),
            });
        }
        let topic = engine
            .transaction(|tx| {
                let key = key.clone();
                async move {
                    if let Some(stored) = tx.get(&key).await? {
                        return decode(&key, &stored);
                    }
                    let topic = Topic { partitions };
                    let value = format!("{{\"partitions\":{partitions}}}").into_bytes();
                    tx.insert(key, value).await?;
                    Ok(topic)
                }
            })
            .await?;
        let topic = Arc::new(topic);
        engine.context().topics.store(name, &topic, engine.clock().now_millis());
        Ok(topic)
    }

    /// The topic, from the cache if it was read within the last 5 seconds, created with 16 partitions if it did not
    /// exist.
    ///
    /// # Errors
    /// As [`Topic::ensure`].
    pub async fn cached<E: TitoEngine>(engine: &E, name: &str) -> Result<(Arc<str>, Arc<Topic>)> {
        loop {
            if let Some(known) = engine.context().topics.load(name, engine.clock().now_millis()) {
                return Ok(known);
            }
            Topic::ensure(engine, name, DEFAULT_PARTITIONS).await?;
        }
    }
}

fn decode(key: &[u8], bytes: &[u8]) -> Result<Topic> {
    let malformed = |source: crate::error::BoxError| TitoError::Malformed {
        key: KeyText::from(key),
        expected: "a topic in JSON with 1 to 9,999 partitions",
        source,
    };
    let topic: Topic = serde_json::from_slice(bytes).map_err(|source| malformed(source.into()))?;
    if topic.partitions == 0 || topic.partitions > keys::MAX_PARTITIONS {
        return Err(malformed(format!("{} partitions", topic.partitions).into()));
    }
    Ok(topic)
}

/// Topics that were read lately, so that a write reads none.
#[derive(Debug, Default)]
pub struct TopicCache(RwLock<HashMap<Arc<str>, Cached>>);

#[derive(Debug)]
struct Cached {
    topic: Arc<Topic>,
    read_at_millis: u64,
}

impl TopicCache {
    fn load(&self, name: &str, now_millis: u64) -> Option<(Arc<str>, Arc<Topic>)> {
        let topics = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let (name, cached) = topics.get_key_value(name)?;
        (now_millis.abs_diff(cached.read_at_millis) < CACHED_MILLIS).then(|| (name.clone(), cached.topic.clone()))
    }

    fn store(&self, name: &str, topic: &Arc<Topic>, now_millis: u64) {
        let mut topics = self.0.write().unwrap_or_else(PoisonError::into_inner);
        topics.insert(name.into(), Cached { topic: topic.clone(), read_at_millis: now_millis });
    }
}
