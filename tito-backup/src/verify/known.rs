//! What has to be known of the whole to judge a row.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use futures::TryStreamExt;
use serde::Deserialize;
use tito_core::DatabaseSnapshot;
use tito_core::event::{Topic, topic_of};
use tito_core::keys::KeyRange;

use super::{Finding, Wrong};
use crate::error::Result;
use crate::keys;

/// Topics, stores and tables. As many as there are of these are in memory.
#[derive(Default)]
pub(super) struct Known {
    /// `None` for a topic whose row can't be read, of whose events nothing can be said.
    topics: HashMap<String, Option<Topic>>,
    pub(super) stores: BTreeMap<u64, Store>,
    /// Stores that are being deleted.
    pub(super) dropped_stores: BTreeSet<u64>,
    /// Tables that have rows.
    pub(super) tables: BTreeSet<String>,
    /// Tables that are being deleted.
    pub(super) dropped_tables: BTreeSet<String>,
    /// Indexes that are behind, being built or being deleted, by table and name: their entries are not all there, or of
    /// rows that are gone.
    pub(super) incomplete_indexes: BTreeSet<(String, String)>,
    /// Generations of projections that are being deleted, of the store that the walk is in.
    pub(super) dropped_generations: BTreeSet<(u64, String, u64)>,
}

/// An event store.
pub(super) struct Store {
    pub(super) name: String,
    /// The last sequence that was dropped, and the last that there is. `None` where that can't be read.
    bounds: Option<(u64, u64)>,
    /// The last sequence that the walk has come to.
    last_seen: u64,
}

#[derive(Deserialize)]
struct Definition {
    id: u64,
}

#[derive(Deserialize)]
struct Head {
    last: u64,
}

#[derive(Deserialize)]
struct Tail {
    dropped: u64,
}

#[derive(Deserialize)]
struct Catalogue {
    #[serde(default)]
    dropping: bool,
    #[serde(default)]
    indexes: BTreeMap<String, Index>,
}

#[derive(Deserialize)]
struct Index {
    state: String,
}

impl Known {
    pub(super) async fn read(snapshot: &DatabaseSnapshot) -> Result<Self> {
        let mut known = Self::default();
        let mut topics = snapshot.stream(keys::topics());
        while let Some((key, value)) = topics.try_next().await? {
            if let Some(name) = keys::parse_topic(&key) {
                known.topics.insert(name, Topic::decode(&key, &value).ok());
            }
        }
        let mut dropped = snapshot.stream(keys::dropped_logs());
        while let Some((key, _)) = dropped.try_next().await? {
            known.dropped_stores.extend(keys::parse_dropped_log(&key));
        }
        let mut stores = snapshot.stream(keys::event_stores());
        while let Some((key, value)) = stores.try_next().await? {
            let Ok(Definition { id }) = serde_json::from_slice(&value) else { continue };
            let name = keys::parse_event_store(&key).unwrap_or_default();
            let bounds = bounds(snapshot, id).await?;
            let last_seen = bounds.map_or(0, |(dropped, _)| dropped);
            known.stores.insert(id, Store { name, bounds, last_seen });
        }
        let mut catalogues = snapshot.stream(KeyRange::prefix("catalogue:"));
        while let Some((key, value)) = catalogues.try_next().await? {
            known.read_catalogue(&key, &value);
        }
        Ok(known)
    }

    fn read_catalogue(&mut self, key: &[u8], value: &[u8]) {
        let (Some(table), Ok(catalogue)) = (super::rows::component(key, 1), serde_json::from_slice(value)) else {
            return;
        };
        let Catalogue { dropping, indexes } = catalogue;
        let incomplete = indexes.into_iter().filter(|(_, index)| index.state != "built");
        self.incomplete_indexes.extend(incomplete.map(|(name, _)| (table.clone(), name)));
        if dropping {
            self.dropped_tables.insert(table);
        }
    }

    /// The topic of a queue if it has this queue: `Err` if there is none, `None` where nothing can be said.
    pub(super) fn topic_with(&self, queue: &str) -> std::result::Result<Option<&Topic>, ()> {
        let (name, group) = topic_of(queue);
        let Some(topic) = self.topics.get(name).ok_or(())? else { return Ok(None) };
        let is_there =
            group.is_none_or(|group| topic.groups.contains_key(group) || topic.removed_groups.contains_key(group));
        is_there.then_some(Some(topic)).ok_or(())
    }

    /// The walk has come to an event of a store.
    pub(super) fn saw_event(&mut self, key: &[u8], store: u64, sequence: u64) -> Option<Finding> {
        let store = self.stores.get_mut(&store)?;
        // Of a store whose rows contradict each other nothing can be said.
        let (dropped, last) = store.bounds.filter(|(dropped, last)| dropped <= last)?;
        if sequence <= dropped || sequence > last {
            return Some(Finding::new(key, Wrong::BeyondStore { sequence, first: dropped.saturating_add(1), last }));
        }
        let before = std::mem::replace(&mut store.last_seen, sequence);
        let from = before.saturating_add(1);
        (sequence > from).then(|| Finding::new(key, Wrong::Hole { from, to: sequence - 1 }))
    }

    /// The walk has come to the row that says how far a store was dropped.
    pub(super) fn saw_tail(&self, key: &[u8], store: u64) -> Option<Finding> {
        let (dropped, last) = self.stores.get(&store)?.bounds?;
        (dropped > last).then(|| {
            let reason = format!("it is {dropped}, and the last sequence is {last}");
            Finding::new(key, Wrong::Value { expected: "how far a store was dropped, up to its last event", reason })
        })
    }

    /// The last sequence of a store.
    pub(super) fn last_of(&self, store: u64) -> Option<u64> {
        self.stores.get(&store)?.bounds.map(|(_, last)| last)
    }

    /// What is missing at the ends of stores once everything was seen.
    pub(super) fn ends_of_stores(&self) -> Vec<Finding> {
        let missing = self.stores.iter().filter_map(|(&id, store)| {
            let (_, last) = store.bounds?;
            let from = store.last_seen.checked_add(1)?;
            (from <= last).then(|| Finding::new(&keys::log_event(id, from), Wrong::Hole { from, to: last }))
        });
        missing.collect()
    }
}

/// What there is of a store; a store that nothing was appended to has neither a head nor a tail.
async fn bounds(snapshot: &DatabaseSnapshot, store: u64) -> Result<Option<(u64, u64)>> {
    let rows = snapshot.batch_get(vec![keys::log_head(store), keys::log_tail(store)]).await?;
    let [head, tail] = rows.as_slice() else { return Ok(None) };
    let last = head.as_ref().map_or(Ok(0), |value| serde_json::from_slice(value).map(|Head { last }| last));
    let dropped = tail.as_ref().map_or(Ok(0), |value| serde_json::from_slice(value).map(|Tail { dropped }| dropped));
    // Rows that can't be read are told of when the walk comes to them.
    Ok(dropped.ok().zip(last.ok()))
}
