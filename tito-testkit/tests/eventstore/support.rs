//! What the facts share.

use futures::TryStreamExt;
use tito_core::{BoxError, TitoEngine};
use tito_eventstore::{Event, EventStore, EventStoreConfig, Evolver, Manager, NewEvent, Select};

/// A new store.
pub async fn store<E: TitoEngine>(db: &E) -> EventStore<E> {
    Manager::new(db.clone()).create_event_store(EventStoreConfig::new("bank")).await.unwrap()
}

/// An event whose data is its type.
pub fn event(entity: &str, event_type: &str) -> NewEvent {
    NewEvent::raw(entity, event_type, event_type)
}

/// The selected events.
pub async fn read<E: TitoEngine>(store: &EventStore<E>, select: impl Into<Select>) -> Vec<Event> {
    store.events(select).try_collect().await.unwrap()
}

/// Their sequences.
pub async fn sequences<E: TitoEngine>(store: &EventStore<E>, select: impl Into<Select>) -> Vec<u64> {
    read(store, select).await.iter().map(Event::sequence).collect()
}

/// A model that remembers what it was evolved by, and fails at events of the type `poison`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen(pub Vec<u64>);

impl Evolver for Seen {
    fn evolve(&mut self, event: &Event) -> Result<(), BoxError> {
        if event.event_type() == "poison" {
            return Err("it is poison".into());
        }
        self.0.push(event.sequence());
        Ok(())
    }
}

/// No sequences.
pub const NONE: [u64; 0] = [];
