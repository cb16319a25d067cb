//! A snapshot stored, and those of old versions deleted.

use std::collections::BTreeSet;

use tito_core::row::StoredRow;
use tito_core::{Result as CoreResult, Transaction};

use super::start::{MOST_VERSIONS, Start, filters};
use super::stored::Stored;
use crate::domain::Evolver;
use crate::error::{EventStoreError, Result};
use crate::keys;
use crate::log::Head;
use crate::log::Tail;
use crate::select::Select;
use crate::store::EventStore;

/// Snapshots of so many versions are kept, the newest.
const KEPT: usize = 2;

/// A snapshot that is to be stored.
#[derive(Clone)]
struct New {
    store: u64,
    name: String,
    filters: String,
    sequence: u64,
    version: u32,
    state: Vec<u8>,
    /// Whether one of the same sequence is replaced.
    replaces: bool,
    /// See [`Start::erasures`].
    erasures: u64,
}

impl EventStore {
    /// Stores a snapshot of a model that was folded from a selection up to a sequence, unless there is a later one of
    /// its version, there are newer versions enough, or something of the store was erased since it began to be folded. One
    /// of the same sequence is left as it is unless it is due.
    pub(crate) async fn save_snapshot<M: Evolver>(
        &self,
        model: &mut M,
        select: &Select,
        sequence: u64,
        start: &Start,
    ) -> Result<()> {
        let model = match model.as_snapshot() {
            Some(model) if select.begin() == 0 => model,
            _ => return Ok(()),
        };
        let (name, version) = (model.name(), model.version());
        let state = match model.save() {
            Ok(state) => state,
            Err(source) => {
                return Err(EventStoreError::Snapshot { model: name, operation: "written", source: source.into() });
            }
        };
        let filters = filters(&select.patterns()?);
        let (replaces, erasures) = (start.is_due, start.erasures);
        let new = New { store: self.id(), name, filters, sequence, version, state, replaces, erasures };
        Ok(self.database().transaction(|tx| async move { save(&tx, new).await }).await?)
    }
}

async fn save(tx: &Transaction, new: New) -> CoreResult<()> {
    let New { store, name, filters, sequence, version, state, replaces, erasures } = new;
    let (head_key, tail_key) = (keys::log_head(store), keys::log_tail(store));
    let old_key = keys::log_snapshot(store, &name, &filters);
    let values = tx.batch_get(vec![head_key.clone(), tail_key.clone(), old_key.clone()]).await?;
    // A store that was deleted gets none: nobody might be left to remove it.
    let Ok([Some(head), Some(tail), old]) = <[Option<Vec<u8>>; 3]>::try_from(values) else { return Ok(()) };
    if Head::decode(&head_key, &head)?.erasures != erasures {
        return Ok(());
    }
    // Whoever erases writes it.
    tx.lock_keys(vec![tail_key.clone()]).await?;
    let own_key = keys::log_snapshot_version(store, &name, &filters, version);
    let there = tx.scan_reverse(keys::log_snapshot_versions(store, &name, &filters), MOST_VERSIONS).await?;
    if let Some((key, value)) = there.iter().find(|(key, _)| *key == own_key)
        && Stored::decode(key, value)
            .is_ok_and(|there| there.sequence > sequence || there.sequence == sequence && !replaces)
    {
        return Ok(());
    }

    let old = old.and_then(|value| Stored::decode(&old_key, &value).map(|old| (old.version, old.sequence)).ok());
    let versions_there = there.iter().filter_map(|(key, _)| keys::parse_log_snapshot_version(key));
    let mut versions: BTreeSet<u32> = versions_there.clone().chain(old.map(|(version, _)| version)).collect();
    versions.insert(version);
    let oldest_kept = versions.iter().rev().nth(KEPT - 1).copied().unwrap_or(0);
    if version < oldest_kept {
        return Ok(());
    }
    tx.system_keys().put(own_key, Stored { sequence, version, state: &state }.encode()).await?;
    for dropped in versions_there.filter(|version| *version < oldest_kept) {
        tx.system_keys().delete(keys::log_snapshot_version(store, &name, &filters, dropped)).await?;
    }
    if let Some((old_version, old_sequence)) = old {
        // A program that knows no other key may have to begin with it, as it takes what is left for the whole otherwise.
        let dropped = Tail::decode(&tail_key, &tail)?.dropped;
        let is_needed = dropped > 0 && old_sequence >= dropped;
        if old_version < oldest_kept || old_version == version && !is_needed {
            tx.system_keys().delete(old_key).await?;
        }
    }
    Ok(())
}
