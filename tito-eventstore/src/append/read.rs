//! Reads what appends need to know.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use tito_core::database::{PageSize, Walk};
use tito_core::row::{self, StoredRow};
use tito_core::{KeyText, Timestamp, TitoError, Transaction};

use super::known::{Entry, Known};
use super::prepared::{Append, Prepared};
use super::state::State;
use super::taken::{Own, Taken};
use crate::error::{EventStoreError, Result};
use crate::event::Event;
use crate::keys;
use crate::log::{Decided, Definition, Head, Last, Log};

/// More types than this are read in several pages.
const PAGE: usize = 1000;

/// What is read under a key.
enum Wanted<'a> {
    Id(&'a str),
    Command(&'a str),
    Entity(String),
    Type(&'a str),
}

/// What appends go by without reading it.
#[derive(Debug, Default)]
pub(super) struct Trusted {
    /// As of the last transaction of this process.
    pub(super) known: Known,
    /// Whether ids that were made up are new. Not where the outcome of an earlier transaction is not known.
    pub(super) made_ids: bool,
    /// The starts of earlier transactions with these appends, of which one may have been committed.
    pub(super) earlier: Vec<Timestamp>,
}

/// Reads the store's definition and the part of its state that some events need, in one call; in more where an
/// expectation is about any type, or others have appended.
///
/// # Errors
/// [`EventStoreError::StoreNotFound`] if the store was deleted, and those of the engine.
pub(super) async fn read<'a>(
    log: &Log,
    tx: &Transaction,
    appends: &'a [Arc<Append>],
    trusted: Trusted,
) -> Result<(Definition, State<'a>)> {
    let Trusted { known, made_ids, earlier } = trusted;
    if let Some(read) = read_beside(log, tx, appends, known, (made_ids, &earlier)).await? {
        return Ok(read);
    }
    // Others have appended, so what was known may be outdated.
    let read = read_beside(log, tx, appends, Known::default(), (made_ids, &earlier)).await?;
    read.ok_or_else(|| not_found(log))
}

/// Reads what is not known; none if what is known is outdated.
async fn read_beside<'a>(
    log: &Log,
    tx: &Transaction,
    appends: &'a [Arc<Append>],
    mut known: Known,
    (made_ids, earlier): (bool, &[Timestamp]),
) -> Result<Option<(Definition, State<'a>)>> {
    let events = appends.iter().flat_map(|append| append.events.iter());
    let outdated_unless =
        (!known.entities.is_empty() || !known.types.is_empty()).then_some((known.head, known.erasures));
    if events.clone().filter_map(Prepared::pattern).any(|pattern| pattern.entity_type().is_none()) {
        read_types(log.id(), tx, &mut known.types).await?;
    }
    let (mut keys, mut wanted) = wanted(log.id(), events, &mut known, made_ids);
    for command in appends.iter().filter_map(|append| append.command.as_ref()) {
        keys.push(keys::log_command(log.id(), &command.id));
        wanted.push(Wanted::Command(&command.id));
    }
    keys.extend([keys::event_store(log.name()), keys::log_head(log.id())]);
    let mut values = tx.batch_get(keys.clone()).await?;
    let [definition, head] = [values.len() - 2, values.len() - 1].map(|at| values[at].take());
    let definition = Definition::decode(&keys[values.len() - 2], &definition.ok_or_else(|| not_found(log))?)?;
    if definition.id != log.id() {
        return Err(not_found(log));
    }
    let head = Head::decode(&keys[values.len() - 1], &head.ok_or_else(|| not_found(log))?)?;
    if outdated_unless.is_some_and(|known| known != (head.last, head.erasures)) {
        return Ok(None);
    }
    (known.head, known.erasures) = (head.last, head.erasures);
    let notes_first = !definition.retention().is_none();
    let mut state = State { head, ids: HashMap::new(), commands: HashMap::new(), known, made_ids, notes_first };
    let mut taken: Vec<(&str, u64)> = Vec::new();
    for ((key, wanted), value) in keys.iter().zip(wanted).zip(values) {
        let Some(value) = value else { continue };
        match wanted {
            Wanted::Id(id) => taken.push((id, row::decode(key, "the sequence of an event", &value)?)),
            Wanted::Command(id) => {
                state.commands.insert(id, Decided::decode(key, &value)?);
            }
            Wanted::Entity(entity) => {
                state.known.entities.insert(entity, entry(key, &value)?);
            }
            Wanted::Type(entity_type) => {
                state.known.types.insert(entity_type.to_string(), entry(key, &value)?);
            }
        }
    }
    // Hardly ever are there any.
    if !taken.is_empty() {
        let keys: Vec<_> = taken.iter().map(|(_, sequence)| keys::log_event(log.id(), *sequence)).collect();
        let stored = tx.batch_get(keys.clone()).await?;
        for (((id, sequence), key), value) in taken.into_iter().zip(keys).zip(stored) {
            let event = value.and_then(|value| Event::decode(&key, sequence, value).ok());
            let event = event.filter(|event| !event.is_erased());
            let own = match &event {
                Some(event) if earlier.contains(&event.recorded()) => {
                    Some(Own { recorded: event.recorded(), previous: previous(log.id(), tx, event).await? })
                }
                _ => None,
            };
            state.ids.insert(id, Taken::stored(sequence, event, own));
        }
    }
    Ok(Some((definition, state)))
}

/// The last sequence of an event's entity before it.
async fn previous(store: u64, tx: &Transaction, event: &Event) -> Result<u64> {
    let (entity_type, id, before) = (event.entity_type(), event.entity_id(), event.sequence().saturating_sub(1));
    let found = tx.scan_reverse(keys::log_entity_events_between(store, entity_type, id, 0, before), 1).await?;
    Ok(found.first().and_then(|(key, _)| keys::parse_log_sequence(key)).unwrap_or(0))
}

fn not_found(log: &Log) -> EventStoreError {
    EventStoreError::StoreNotFound { name: log.name().to_string() }
}

/// What has to be read for some events, each once. What will have been read is known from then on, also if there is
/// nothing.
fn wanted<'a>(
    store: u64,
    events: impl Iterator<Item = &'a Prepared>,
    known: &mut Known,
    made_ids: bool,
) -> (Vec<Vec<u8>>, Vec<Wanted<'a>>) {
    let (mut keys, mut wanted) = (Vec::new(), Vec::new());
    let mut want_entity = |entities: &mut HashMap<String, Entry>, entity_type: &str, id: &str, entity: &str| {
        if !entities.contains_key(entity) {
            entities.insert(entity.to_string(), Entry::default());
            keys.push(keys::log_last_of_entity(store, entity_type, id));
            wanted.push(Wanted::Entity(entity.to_string()));
        }
    };
    let mut types = Vec::new();
    let mut ids = HashSet::new();
    for event in events {
        want_entity(&mut known.entities, event.entity_type(), event.entity_id(), event.entity());
        types.push(event.entity_type());
        if !(event.is_id_new && made_ids) {
            ids.insert(event.id.as_str());
        }
        let Some(pattern) = event.pattern() else { continue };
        match (pattern.entity_type(), pattern.id()) {
            (Some(of_type), Some(id)) => want_entity(&mut known.entities, of_type, id, &format!("{of_type}.{id}")),
            (Some(of_type), None) => types.push(of_type),
            (None, Some(id)) => {
                for of_type in known.types.keys() {
                    want_entity(&mut known.entities, of_type, id, &format!("{of_type}.{id}"));
                }
            }
            (None, None) => {}
        }
    }
    for entity_type in types {
        if !known.types.contains_key(entity_type) {
            known.types.insert(entity_type.to_string(), Entry::default());
            keys.push(keys::log_last_of_type(store, entity_type));
            wanted.push(Wanted::Type(entity_type));
        }
    }
    for id in ids {
        keys.push(keys::log_id(store, id));
        wanted.push(Wanted::Id(id));
    }
    (keys, wanted)
}

fn entry(key: &[u8], value: &[u8]) -> Result<Entry> {
    Ok(Entry { last: Last::decode(key, value)?, is_changed: false })
}

async fn read_types(store: u64, tx: &Transaction, types: &mut BTreeMap<String, Entry>) -> Result<()> {
    let mut walk = Walk::over(keys::log_last_of_types(store)).in_pages(PageSize::entries(PAGE));
    while let Some(page) = walk.next_in(tx).await? {
        for (key, value) in &page {
            let entity_type = keys::parse_log_type(key).ok_or_else(|| TitoError::Malformed {
                key: KeyText::from(key.as_slice()),
                expected: "the key of a type's last sequences",
                source: "its last component is no escaped text".into(),
            })?;
            types.insert(entity_type, entry(key, value)?);
        }
    }
    Ok(())
}
