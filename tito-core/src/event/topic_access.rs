//! Reads topics and changes them, by way of the cache.

use std::future::Future;
use std::sync::Arc;

use super::topic::{DEFAULT_PARTITIONS, Topic};
use super::topic_cache::TopicCache;
use crate::database::{Database, Transaction};
use crate::engine::Signal;
use crate::error::{Result, TitoError};
use crate::keys;
use crate::names;
use crate::row::StoredRow;

/// The channel for signals that a topic was created or changed.
pub fn topic_channel(name: &str) -> String {
    // No queue has a name with a colon.
    format!("topic:{name}")
}

/// Tells this process of a change, once it is committed.
fn tell(tx: &Transaction, name: &str) {
    tx.signal(Signal { channel: topic_channel(name).into(), number: 0, payload: Vec::new() });
}

/// The topics that this process has read lately.
fn topics(database: &Database) -> &TopicCache {
    database.shared().value()
}

impl Topic {
    /// The topic, created with `partitions` partitions if it did not exist. An existing topic keeps its number.
    ///
    /// # Errors
    /// [`TitoError::InvalidName`] for a name that can't be a topic, [`TitoError::OutOfRange`] for a number of
    /// partitions outside 1 to 10,000, and those of the engine.
    pub async fn ensure(database: &Database, name: &str, partitions: u16) -> Result<Arc<Topic>> {
        names::check_event_type(name)?;
        let key = keys::topic(name);
        check_partitions(&key, partitions)?;
        let new = Topic { partitions, moves_noted_from: Some(0), ..Topic::default() };
        let value = new.encode()?;
        // From before the read: what is kept is never taken as current for longer than it should be.
        let read_at = database.clock().monotonic_millis();
        let transaction = database.transaction(|tx| async move {
            if let Some(stored) = tx.get(&key).await? {
                return Topic::decode(&key, &stored);
            }
            tx.system_keys().insert(key, value).await?;
            tell(&tx, name);
            Ok(new)
        });
        // On the heap: every write of an event can come here, and few do.
        let topic = Box::pin(transaction).await?;
        Ok(topics(database).store(name, topic, read_at))
    }

    /// The topic, from the cache if it was read within the last 5 seconds, created with 16 partitions if it did not
    /// exist.
    ///
    /// # Errors
    /// Those of [`Topic::ensure`].
    pub async fn cached(database: &Database, name: &str) -> Result<(Arc<str>, Arc<Topic>)> {
        if let Some(known) = topics(database).load(name, database.clock().monotonic_millis()) {
            return Ok(known);
        }
        Ok((name.into(), Topic::ensure(database, name, DEFAULT_PARTITIONS).await?))
    }

    /// The topic as it is stored, if there is one.
    ///
    /// # Errors
    /// [`TitoError::InvalidName`] for a name that can't be a topic, and those of the engine.
    pub async fn find(database: &Database, name: &str) -> Result<Option<Arc<Topic>>> {
        names::check_event_type(name)?;
        let key = keys::topic(name);
        let read_at = database.clock().monotonic_millis();
        let transaction = database.transaction(|tx| async move {
            let stored = tx.get(&key).await?;
            stored.map(|stored| Topic::decode(&key, &stored)).transpose()
        });
        let found = Box::pin(transaction).await?;
        Ok(found.map(|topic| topics(database).store(name, topic, read_at)))
    }

    /// Like [`Topic::find`], from the cache if it was read within the last 5 seconds.
    ///
    /// # Errors
    /// Those of [`Topic::find`].
    pub async fn find_cached(database: &Database, name: &str) -> Result<Option<Arc<Topic>>> {
        match topics(database).load(name, database.clock().monotonic_millis()) {
            Some((_, known)) => Ok(Some(known)),
            None => Topic::find(database, name).await,
        }
    }

    /// Changes a topic in a transaction: `change` gets the current topic ([unused](Topic::unused) if nothing is stored
    /// of it) and the transaction, and says whether it changed the topic. Returns what is stored afterwards.
    ///
    /// Writers of other processes may use what they have read for [`CACHED`](super::CACHED) longer.
    ///
    /// # Errors
    /// Those of the engine, and those of `change`.
    pub async fn change<F, Fut>(database: &Database, name: &str, change: F) -> Result<Arc<Topic>>
    where
        F: FnOnce(Topic, Transaction) -> Fut + Clone + Send,
        Fut: Future<Output = Result<Option<Topic>>> + Send,
    {
        let owned_name = name.to_string();
        let read_at = database.clock().monotonic_millis();
        let transaction = database.transaction(|tx| async move {
            let stored = Topic::read(&tx, &owned_name).await?;
            match change(stored.clone(), tx.clone()).await? {
                None => Ok(stored),
                Some(changed) => changed.put(&tx, &owned_name, stored.revision).await,
            }
        });
        let topic = Box::pin(transaction).await?;
        Ok(topics(database).store(name, topic, read_at))
    }

    /// Gives the topic a new revision in this transaction, so that workers read their partitions from the beginning:
    /// for a transaction that stores events where workers don't look for new ones. Of two such transactions, one meets
    /// a conflict. Returns the topic.
    ///
    /// # Errors
    /// Those of [`Topic::read`].
    pub async fn raise_revision(tx: &Transaction, name: &str) -> Result<Topic> {
        let topic = Topic::read(tx, name).await?;
        let revision = topic.revision;
        topic.put(tx, name, revision).await
    }

    async fn put(mut self, tx: &Transaction, name: &str, revision: u64) -> Result<Topic> {
        let key = keys::topic(name);
        check_partitions(&key, self.partitions)?;
        self.revision = revision + 1;
        tx.system_keys().put(key, self.encode()?).await?;
        tell(tx, name);
        Ok(self)
    }

    /// The topic as a transaction sees it; one that was never used has the default number of partitions.
    ///
    /// # Errors
    /// [`TitoError::Malformed`], and those of the engine.
    pub async fn read(tx: &Transaction, name: &str) -> Result<Topic> {
        let key = keys::topic(name);
        match tx.get(&key).await? {
            Some(stored) => Topic::decode(&key, &stored),
            None => Ok(Topic::unused()),
        }
    }
}

fn check_partitions(key: &[u8], partitions: u16) -> Result<()> {
    if (1..=keys::MAX_PARTITIONS).contains(&partitions) {
        return Ok(());
    }
    Err(TitoError::OutOfRange {
        what: "a number of partitions",
        found: partitions.to_string(),
        expected: format!("1 to {}", keys::MAX_PARTITIONS),
        key: key.into(),
    })
}
