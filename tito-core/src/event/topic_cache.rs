//! Topics that were read lately, so that a write reads none.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use crate::database::Database;
use crate::error::Result;
use crate::timestamp::Timestamp;

use super::topic::Topic;

/// How long a topic that was read is taken as current.
pub const CACHED: Duration = Duration::from_secs(5);

/// How often an engine that knows its live transactions is asked whether the old ones have ended.
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// See [`Topic::cached`].
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

/// Waits until every transaction has ended that may have gone by a topic as it was before a change which this process
/// has made: after it no event is committed that does not know of the change.
///
/// Takes no time worth speaking of on an engine with one writing process; else [`CACHED`] and the engine's
/// `max_transaction_age`, by the engine's time.
///
/// # Errors
/// Those of the engine; at once when it is closed meanwhile.
pub async fn settle_topics(database: &Database) -> Result<()> {
    tokio::select! {
        biased;
        closed = database.closed() => Err(closed),
        settled = settle(database) => settled,
    }
}

async fn settle(database: &Database) -> Result<()> {
    // Begun after the change was made known to this process, so whatever it begins from now on goes by it.
    let tx = database.begin().await?;
    let changed = tx.start_timestamp();
    tx.rollback().await;
    drop(tx);
    let mut aware = changed;
    if !database.is_only_writer() {
        let cached = CACHED.as_millis() as u64;
        wait_by_the_engines_time(database, changed, cached + database.max_transaction_age_millis()).await?;
        // What others have begun since.
        aware = Timestamp::from_millis(changed.physical_millis().saturating_add(cached));
    }
    // No clock says that these are over: one whose commit is under way can be older than any transaction may become.
    while database.oldest_live_start().is_some_and(|oldest| oldest < aware) {
        tokio::time::sleep(LOOK_EVERY).await;
    }
    Ok(())
}

/// Other processes go by timestamps, and so does this. This machine's clock says when to ask, and no more.
pub(crate) async fn wait_by_the_engines_time(database: &Database, began: Timestamp, millis: u64) -> Result<()> {
    let clock = database.clock();
    let mut left = millis;
    while left > 0 {
        clock.wait_until_monotonic(clock.monotonic_millis().saturating_add(left)).await;
        left = millis.saturating_sub(database.timestamp().await?.millis_since(began));
    }
    Ok(())
}
