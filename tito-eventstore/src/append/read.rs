//! Reads what appends need to know.

use std::collections::{BTreeMap, BTreeSet};

use tito_core::keys;
use tito_core::{KeyText, TitoEngine, TitoError, TitoTransaction};

use super::last::Last;
use super::prepared::Prepared;
use super::state::{Entity, Head, State};
use crate::error::{EventStoreError, Result};
use crate::manager::Definition;
use crate::store::EventStore;
use crate::stored;

/// More types than this are read in several pages.
const PAGE: usize = 1000;

/// What is read under a key.
enum Wanted<'a> {
    Id(&'a str),
    Entity(Entity),
    Type(&'a str),
}

/// Reads the store's definition and the part of its state that some events need, in one call; in two more where an
/// expectation is about any type.
///
/// # Errors
/// [`EventStoreError::StoreNotFound`] if the store was deleted, and those of the engine.
pub(crate) async fn read<'a, E: TitoEngine>(
    store: &EventStore<E>,
    tx: &E::Transaction,
    events: impl Iterator<Item = &'a Prepared> + Clone + Send,
) -> Result<(Definition, State)> {
    let mut state = State::default();
    let patterns = || events.clone().filter_map(|event| event.expected.as_ref()).map(|expected| &expected.pattern);
    if patterns().any(|pattern| pattern.entity_type().is_none()) {
        read_types(store.id(), tx, &mut state.types).await?;
    }
    let of_any_type: BTreeSet<&str> =
        patterns().filter(|pattern| pattern.entity_type().is_none()).filter_map(|pattern| pattern.id()).collect();

    let mut wanted = BTreeMap::new();
    let want_entity = |wanted: &mut BTreeMap<_, _>, entity_type: &str, id: &str| {
        let entity = (entity_type.to_string(), id.to_string());
        wanted.insert(keys::log_last_of_entity(store.id(), entity_type, id), Wanted::Entity(entity));
    };
    for event in events.clone() {
        wanted.insert(keys::log_id(store.id(), &event.id), Wanted::Id(&event.id));
        want_entity(&mut wanted, &event.entity_type, &event.entity_id);
        wanted.insert(keys::log_last_of_type(store.id(), &event.entity_type), Wanted::Type(&event.entity_type));
    }
    for pattern in patterns() {
        match (pattern.entity_type(), pattern.id()) {
            (Some(entity_type), Some(id)) => want_entity(&mut wanted, entity_type, id),
            (Some(entity_type), None) => {
                wanted.insert(keys::log_last_of_type(store.id(), entity_type), Wanted::Type(entity_type));
            }
            (None, _) => {}
        }
    }
    for entity_type in state.types.keys() {
        of_any_type.iter().for_each(|id| want_entity(&mut wanted, entity_type, id));
    }

    let mut all = vec![keys::event_store(store.name()), keys::log_head(store.id())];
    all.extend(wanted.keys().cloned());
    let mut values = tx.batch_get(all).await?.into_iter();
    let (definition, head) = (values.next().flatten(), values.next().flatten());
    let not_found = || EventStoreError::StoreNotFound { name: store.name().to_string() };
    let definition = Definition::decode(&keys::event_store(store.name()), &definition.ok_or_else(not_found)?)?;
    if definition.id != store.id() {
        return Err(not_found());
    }
    state.head = Head::decode(&keys::log_head(store.id()), &head.ok_or_else(not_found)?)?;
    for ((key, wanted), value) in wanted.into_iter().zip(values) {
        let Some(value) = value else { continue };
        match wanted {
            Wanted::Id(id) => {
                state.ids.insert(id.to_string(), stored::decode("the sequence of an event", &key, &value)?);
            }
            Wanted::Entity(entity) => {
                state.entities.insert(entity, Last::decode(&key, &value)?);
            }
            Wanted::Type(entity_type) => {
                state.types.insert(entity_type.to_string(), Last::decode(&key, &value)?);
            }
        }
    }
    Ok((definition, state))
}

async fn read_types<T: TitoTransaction>(store: u64, tx: &T, types: &mut BTreeMap<String, Last>) -> Result<()> {
    let mut rest = keys::log_last_of_types(store);
    loop {
        let page = tx.scan(rest.clone(), PAGE).await?;
        for (key, value) in &page {
            let entity_type = keys::parse_log_type(key).ok_or_else(|| TitoError::Malformed {
                key: KeyText::from(key.as_slice()),
                expected: "the key of a type's last sequences",
                source: "its last component is no escaped text".into(),
            })?;
            types.insert(entity_type, Last::decode(key, value)?);
        }
        match page.last() {
            Some((last, _)) if page.len() == PAGE => rest = rest.after(last),
            _ => return Ok(()),
        }
    }
}
