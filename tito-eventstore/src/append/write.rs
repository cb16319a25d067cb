//! Writes what appends have come to.

use tito_core::engine::Announcement;
use tito_core::keys;
use tito_core::{TitoEngine, TitoTransaction};

use super::prepared::Prepared;
use super::republish;
use super::state::State;
use crate::error::Result;
use crate::manager::Definition;
use crate::store::EventStore;
use crate::stored;

/// An event and the sequence that it got.
pub(crate) type New<'a> = (u64, &'a Prepared);

/// Writes new events, in the order of their sequences, and everything that was changed by them.
pub(crate) async fn write<E: TitoEngine>(
    store: &EventStore<E>,
    tx: &E::Transaction,
    definition: &Definition,
    mut state: State,
    new: &[New<'_>],
) -> Result<()> {
    let Some((first, _)) = new.first() else { return Ok(()) };
    for (sequence, event) in new {
        let value = event.encode(tx.start_timestamp());
        state.head.bytes = state.head.bytes.saturating_add(value.len() as u64);
        let of_entity = keys::log_entity_event(store.id(), &event.entity_type, &event.entity_id, *sequence);
        tx.put(of_entity, value.clone()).await?;
        tx.put(keys::log_event(store.id(), *sequence), value).await?;
        tx.put(keys::log_id(store.id(), &event.id), stored::encode("a sequence", sequence)?).await?;
    }
    for entity in &state.changed_entities {
        if let Some(last) = state.entities.get(entity) {
            tx.put(keys::log_last_of_entity(store.id(), &entity.0, &entity.1), last.encode()?).await?;
        }
    }
    for entity_type in &state.changed_types {
        if let Some(last) = state.types.get(entity_type) {
            tx.put(keys::log_last_of_type(store.id(), entity_type), last.encode()?).await?;
        }
    }
    tx.put(keys::log_head(store.id()), state.head.encode()?).await?;
    republish::publish(store, tx, definition, new).await?;
    let key = keys::log_event(store.id(), *first);
    tx.outbox().announce(Announcement { event_type: store.channel().clone(), partition: 0, key });
    Ok(())
}
