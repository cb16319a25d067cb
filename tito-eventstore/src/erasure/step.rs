//! What one transaction erases.

use std::collections::BTreeSet;

use tito_core::database::{PageSize, Walk};
use tito_core::engine::KeyValue;
use tito_core::row::{self, StoredRow};
use tito_core::{Result as CoreResult, Transaction};

use super::erase::ErasedEntities;
use super::target::Target;
use crate::error::{EventStoreError, Result};
use crate::event::{Event, placeholder, recorded};
use crate::keys;
use crate::log::Decided;
use crate::log::Head;
use crate::log::{Tail, read_definition};
use crate::projection;
use crate::react::Position;
use crate::store::EventStore;

/// How many events, or other rows, a transaction erases at most, and about how many bytes it reads of them.
pub(super) const MOST: usize = 100;
const MOST_BYTES: usize = 16 << 20;

/// Snapshots are as large as values may be.
pub(super) const MOST_SNAPSHOTS: usize = 16;

/// Erases some of what is kept of entities beside snapshots. Nothing was found if nothing was erased.
pub(super) async fn step(tx: &Transaction, store: &EventStore, target: &Target) -> Result<ErasedEntities> {
    let definition = read_definition(tx, store.name()).await?;
    if definition.id != store.id() {
        return Err(EventStoreError::StoreNotFound { name: store.name().to_string() });
    }
    let types = target.types(tx, store.id()).await?;
    for entity_type in &types {
        let size = PageSize::entries(MOST).and_bytes(MOST_BYTES);
        let mut walk = Walk::over(target.events(store.id(), entity_type)).in_pages(size);
        if let Some(page) = walk.next_in(tx).await? {
            let mut erased = erase_events(tx, store.id(), page).await?;
            tx.lock_keys(reactor_keys(tx, store.id(), &erased.sequences).await?).await?;
            let has_dropped = read::<Tail>(tx, keys::log_tail(store.id())).await?.dropped > 0;
            for projection in &definition.projections {
                let Some(first) = erased.sequences.first().copied().filter(|_| !has_dropped) else {
                    erased.counts.not_rebuilt.insert(projection.clone());
                    continue;
                };
                erased.counts.rebuilds += u64::from(projection::rebuild_without(store, tx, projection, first).await?);
            }
            return Ok(erased.counts);
        }
    }
    for entity_type in &types {
        let [lasts, gones] = target.lasts(store.id(), entity_type);
        let (entities, others) = (tx.scan(lasts, MOST).await?, tx.scan(gones, MOST).await?);
        if entities.len() + others.len() > 0 {
            let counts = ErasedEntities { entities: entities.len() as u64, ..ErasedEntities::default() };
            for (key, _) in entities.into_iter().chain(others) {
                tx.system_keys().delete(key).await?;
            }
            note(tx, store.id(), 0).await?;
            return Ok(ErasedEntities { rows: counts.entities.max(1), ..counts });
        }
    }
    Ok(ErasedEntities::default())
}

/// Erases the snapshots of the next page that can be of the entities, and returns how many those were, and what is left.
pub(super) async fn erase_snapshots(
    tx: &Transaction,
    store: u64,
    mut walk: Walk,
    target: &Target,
) -> CoreResult<(u64, Walk)> {
    let mut erased = 0;
    for (key, _) in walk.next_in(tx).await?.into_iter().flatten().filter(|(key, _)| target.is_in_snapshot(key)) {
        tx.system_keys().delete(key).await?;
        erased += 1;
    }
    if erased > 0 {
        // No snapshot is stored any more of what was folded from one of these.
        note(tx, store, 0).await?;
    }
    Ok((erased, walk))
}

#[derive(Default)]
struct Events {
    counts: ErasedEntities,
    sequences: BTreeSet<u64>,
}

async fn erase_events(tx: &Transaction, store: u64, page: Vec<KeyValue>) -> Result<Events> {
    let (mut sequences, mut commands) = (BTreeSet::new(), BTreeSet::new());
    let mut shrunk = 0;
    for (key, value) in page {
        let Some((sequence, Some(_))) = keys::parse_log_event(&key) else {
            let expected = "the key of an event among those of its entity";
            return Err(row::malformed(&key, expected, "it does not end in a sequence").into());
        };
        let length = value.len();
        // Of one that is damaged only its place is known.
        let appended = recorded(&value);
        if let Ok(event) = Event::decode(&key, sequence, value) {
            tx.system_keys().delete(keys::log_id(store, event.id())).await?;
            commands.extend(event.causation_id().map(str::to_string));
        }
        let left = placeholder(appended);
        shrunk += length.saturating_sub(left.len()) as u64;
        tx.system_keys().put(keys::log_event(store, sequence), left).await?;
        tx.system_keys().delete(key).await?;
        sequences.insert(sequence);
    }
    forget_commands(tx, store, &commands).await?;
    note(tx, store, shrunk).await?;
    let count = sequences.len() as u64;
    let counts = ErasedEntities { events: count, rows: count, ..ErasedEntities::default() };
    Ok(Events { counts, sequences })
}

/// The keys of the reactors that have still to do with some events. What such a one commits, if it began before, meets a
/// conflict, as its handlers may have got one of the events.
async fn reactor_keys(tx: &Transaction, store: u64, sequences: &BTreeSet<u64>) -> CoreResult<Vec<Vec<u8>>> {
    let reactors = Walk::over(keys::log_reactors(store)).rest_in(tx).await?;
    // Where one is that can't be read, nobody knows.
    let is_past = |(key, stored): &KeyValue| {
        Position::decode(key, stored)
            .is_ok_and(|position| !sequences.iter().any(|sequence| position.is_open(*sequence)))
    };
    Ok(reactors.into_iter().filter(|reactor| !is_past(reactor)).map(|(key, _)| key).collect())
}

/// Deletes what commands came to of which no event is left.
async fn forget_commands(tx: &Transaction, store: u64, commands: &BTreeSet<String>) -> Result<()> {
    let keys: Vec<_> = commands.iter().map(|id| keys::log_command(store, id)).collect();
    let stored = tx.batch_get(keys.clone()).await?;
    for (key, value) in keys.into_iter().zip(stored) {
        let Some(value) = value else { continue };
        // One that can't be read names nothing of the entity.
        let Ok(decided) = Decided::decode(&key, &value) else { continue };
        if !decided.has_events(tx, store).await? {
            tx.system_keys().delete(key).await?;
        }
    }
    Ok(())
}

/// Notes that something was erased: for what processes know of the store, and what is being folded. Appends, snapshots and
/// beginnings of reactors that are under way meet a conflict.
async fn note(tx: &Transaction, store: u64, shrunk: u64) -> CoreResult<()> {
    let key = keys::log_head(store);
    let mut head = read::<Head>(tx, key.clone()).await?;
    head.erasures = head.erasures.saturating_add(1);
    head.bytes = head.bytes.saturating_sub(shrunk);
    tx.system_keys().put(key, head.encode()?).await?;
    let key = keys::log_tail(store);
    let tail = read::<Tail>(tx, key.clone()).await?;
    tx.system_keys().put(key, tail.encode()?).await
}

async fn read<T: StoredRow + Default>(tx: &Transaction, key: Vec<u8>) -> CoreResult<T> {
    tx.get(&key).await?.map_or_else(|| Ok(T::default()), |value| T::decode(&key, &value))
}
