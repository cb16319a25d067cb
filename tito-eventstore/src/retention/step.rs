//! One step of a store that has too much.

use std::collections::{BTreeMap, BTreeSet};

use tito_core::database::{PageSize, Walk};
use tito_core::row::{StoredRow, malformed};
use tito_core::{Database, Transaction, TxOptions};

use super::{STEP, STEP_BYTES};
use crate::error::{EventStoreError, Result};
use crate::event::Event;
use crate::keys;
use crate::log::{Decided, Definition, Head, Kept, Last, Retention, Tail};

/// Drops the oldest events of a store that are too many.
pub(super) async fn keep(database: &Database, name: &str) -> Result<()> {
    while step(database, name).await? {}
    Ok(())
}

/// Drops some, and tells whether there may be more.
async fn step(database: &Database, name: &str) -> Result<bool> {
    let name = name.to_string();
    let options = TxOptions::default();
    database.transaction_with(options, |tx: Transaction| async move { step_in(&tx, &name).await }).await
}

async fn step_in(tx: &Transaction, name: &str) -> Result<bool> {
    let key = keys::event_store(name);
    let Some(definition) = tx.get(&key).await? else { return Ok(false) };
    let definition = Definition::decode(&key, &definition)?;
    let retention = definition.retention();
    if retention.is_none() {
        return Ok(false);
    }
    let store = definition.id;
    let (head_key, tail_key) = (keys::log_head(store), keys::log_tail(store));
    let values = tx.batch_get(vec![head_key.clone(), tail_key.clone()]).await?;
    let Ok([Some(head), Some(tail)]) = <[Option<Vec<u8>>; 2]>::try_from(values) else { return Ok(false) };
    let (head, tail) = (Head::decode(&head_key, &head)?, Tail::decode(&tail_key, &tail)?);

    let between = Kept::between(store, &tail, &head)?;
    let mut over = Over::new(&retention, between, tx.now().millis());
    if tail.dropped >= head.last || !over.may_be_any() {
        return Ok(false);
    }
    let mut kept = Tail { noted_after: Some(tail.noted_after.unwrap_or(tail.dropped)), ..tail.clone() };
    let (mut gone, mut dropped) = (Vec::new(), 0);
    // One event tells whether its age is a reason to read more.
    let first = read(tx, store, &tail, &head, 1).await?;
    if !first.iter().any(|(_, event, _)| over.has(event)) {
        return Ok(false);
    }
    let page = read(tx, store, &tail, &head, STEP).await?;
    let read = page.len();
    for (key, event, bytes) in page {
        if !over.has(&event) {
            break;
        }
        over.drop_one(bytes);
        dropped += 1;
        kept = Tail { dropped: event.sequence(), bytes: kept.bytes.saturating_add(bytes), ..kept };
        tx.system_keys().delete(key).await?;
        if event.is_erased() {
            continue;
        }
        tx.system_keys()
            .delete(keys::log_entity_event(store, event.entity_type(), event.entity_id(), event.sequence()))
            .await?;
        tx.system_keys().delete(keys::log_id(store, event.id())).await?;
        gone.push(event);
    }
    forget_commands(tx, store, &gone).await?;
    note(tx, store, &gone).await?;
    tx.system_keys().put(tail_key, kept.encode()?).await?;
    Ok(dropped == read)
}

/// Deletes what commands came to of which no event is left: the last of them may have been erased before.
async fn forget_commands(tx: &Transaction, store: u64, gone: &[Event]) -> Result<()> {
    let decided_by = |event: &Event| Some(keys::log_command(store, event.causation_id()?));
    let commands: BTreeSet<Vec<u8>> = gone.iter().filter_map(decided_by).collect();
    if commands.is_empty() {
        return Ok(());
    }
    let there = tx.batch_get(commands.iter().cloned().collect()).await?;
    for (key, value) in commands.into_iter().zip(there) {
        let Some(value) = value else { continue };
        if !Decided::decode(&key, &value)?.has_events(tx, store).await? {
            tx.system_keys().delete(key).await?;
        }
    }
    Ok(())
}

/// Notes what dropped events were of: of each entity and type the last sequences that are gone.
async fn note(tx: &Transaction, store: u64, gone: &[Event]) -> Result<()> {
    let mut notes: BTreeMap<Vec<u8>, Vec<&Event>> = BTreeMap::new();
    for event in gone {
        let (of_type, id) = (event.entity_type(), event.entity_id());
        for key in [keys::log_gone_of_type(store, of_type), keys::log_gone_of_entity(store, of_type, id)] {
            notes.entry(key).or_default().push(event);
        }
    }
    let there = tx.batch_get(notes.keys().cloned().collect()).await?;
    for ((key, events), there) in notes.into_iter().zip(there) {
        let mut last = there.map(|value| Last::decode(&key, &value)).transpose()?.unwrap_or_default();
        events.iter().for_each(|event| last.set(event.event_type(), event.sequence()));
        tx.system_keys().put(key, last.encode()?).await?;
    }
    Ok(())
}

async fn read(
    tx: &Transaction,
    store: u64,
    tail: &Tail,
    head: &Head,
    limit: usize,
) -> Result<Vec<(Vec<u8>, Event, u64)>, EventStoreError> {
    let size = PageSize::entries(limit).and_bytes(STEP_BYTES);
    let mut walk = Walk::over(keys::log_events_between(store, tail.dropped, head.last)).in_pages(size);
    let page = walk.next_in(tx).await?.unwrap_or_default();
    let decode = |(key, value): (Vec<u8>, Vec<u8>)| -> Result<_, EventStoreError> {
        let bytes = value.len() as u64;
        let sequence = keys::parse_log_sequence(&key)
            .ok_or_else(|| malformed(&key, "the key of an event of an event store", "it does not end in a sequence"))?;
        let event = Event::decode(&key, sequence, value)?;
        Ok((key, event, bytes))
    };
    let mut events = Vec::with_capacity(page.len());
    for row in page {
        match decode(row) {
            Ok(event) => events.push(event),
            // What is before one that is damaged is dropped first.
            Err(_) if !events.is_empty() => break,
            Err(error) => return Err(error),
        }
    }
    Ok(events)
}

/// By how much a store keeps too much.
struct Over {
    events: u64,
    bytes: u64,
    /// Milliseconds since the Unix epoch; events before it are too old.
    before: Option<u64>,
}

impl Over {
    fn new(retention: &Retention, kept: Kept, now_millis: u64) -> Self {
        let over = |limit: Option<u64>, is: u64| limit.map_or(0, |limit| is.saturating_sub(limit));
        let before = retention.age.map(|age| now_millis.saturating_sub(age.as_secs().saturating_mul(1000)));
        Self { events: over(retention.events, kept.events), bytes: over(retention.bytes, kept.bytes), before }
    }

    fn may_be_any(&self) -> bool {
        self.events > 0 || self.bytes > 0 || self.before.is_some()
    }

    /// Whether an event, the oldest that is left, has to go.
    fn has(&self, event: &Event) -> bool {
        let is_old = self.before.is_some_and(|before| event.recorded().physical_millis() < before);
        self.events > 0 || self.bytes > 0 || is_old
    }

    fn drop_one(&mut self, bytes: u64) {
        self.events = self.events.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(bytes);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::time::Duration;

    use super::*;

    #[test]
    fn a_store_of_which_more_was_dropped_than_there_was_is_malformed() {
        let tail = Tail { dropped: 3, bytes: 30, ..Tail::default() };
        for (last, bytes) in [(2, 30), (3, 29), (0, 0)] {
            let error = Kept::between(7, &tail, &Head { last, bytes, ..Head::default() }).unwrap_err();
            let text = error.to_string();
            assert!(text.contains("log:0000000000000007:tail"), "{text}");
        }
    }

    /// The time before which events are too old.
    fn before(age: Duration) -> Option<u64> {
        Over::new(&Retention::default().age(age), Kept { events: 0, bytes: 0 }, 1_700_000_000_000).before
    }

    #[test]
    fn no_age_is_so_long_that_it_becomes_short() {
        // In milliseconds these have more than 64 bits.
        for seconds in [u64::MAX / 1000 + 1, u64::MAX / 7, u64::MAX] {
            assert_eq!(before(Duration::from_secs(seconds)), Some(0), "{seconds}");
        }
        assert_eq!(before(Duration::MAX), Some(0));
    }

    #[test]
    fn parts_of_a_second_are_not_cut_off() {
        assert_eq!(before(Duration::from_millis(1)), Some(1_700_000_000_000 - 1000));
        assert_eq!(before(Duration::from_millis(2000)), Some(1_700_000_000_000 - 2000));
    }
}
