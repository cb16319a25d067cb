//! What the facts share.

use futures::TryStreamExt;
use tito_core::keys::KeyRange;
use tito_core::{BoxError, Database, Transaction};
use tito_eventstore::types::{ForeignType, Json, Registry};
use tito_eventstore::{Event, EventStore, EventStoreConfig, Evolver, Manager, NewEvent, Select};

/// A new store.
pub async fn store(db: &Database) -> EventStore {
    Manager::new(db.clone()).create_event_store(EventStoreConfig::new("bank")).await.unwrap()
}

/// An event whose data is its type.
pub fn event(entity: &str, event_type: &str) -> NewEvent {
    NewEvent::raw(entity, event_type, event_type)
}

/// The selected events.
pub async fn read(store: &EventStore, select: impl Into<Select>) -> Vec<Event> {
    store.events(select).try_collect().await.unwrap()
}

/// Their sequences.
pub async fn sequences(store: &EventStore, select: impl Into<Select>) -> Vec<u64> {
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

/// A store to which an old program appends, and which a new one reads that has an upcaster for what the old one writes.
pub struct Counting {
    manager: Manager,
    /// As the old program has it.
    pub old: EventStore,
    /// As the new one has it.
    pub store: EventStore,
}

impl Counting {
    pub async fn new(db: &Database) -> Self {
        let upcast = |bytes: &[u8]| match bytes {
            b"poison" => Err("it is poison".into()),
            bytes => Ok(bytes.to_vec()),
        };
        Self::with_upcaster(db, upcast).await
    }

    pub async fn with_upcaster(
        db: &Database,
        upcast: impl Fn(&[u8]) -> Result<Vec<u8>, BoxError> + Send + Sync + 'static,
    ) -> Self {
        let old = store(db).await;
        let counted = ForeignType::<Json, u64>::new("counted", 17).version(2);
        let types = Registry::builder().foreign(counted).upcast("counted", 1, upcast).build().unwrap();
        let manager = Manager::builder(db.clone()).types(types).build();
        let store = manager.get_event_store("bank").await.unwrap();
        Self { manager, old, store }
    }

    /// Appends events of one entity in the version before, some of which are poison.
    pub async fn append(&self, count: u64, poison: &[u64]) {
        let data = |number| if poison.contains(&number) { "poison".to_string() } else { number.to_string() };
        let events = (1..=count).map(|number| NewEvent::raw("a.1", "counted", data(number)));
        self.old.append(events.collect::<Vec<_>>()).await.unwrap();
    }

    /// Deletes the store, so that there can be another.
    pub async fn delete(self) {
        self.manager.delete_event_store("bank").await.unwrap();
        self.manager.sweep().await.unwrap();
    }
}

/// The two keys under which an event of the one store is.
pub async fn keys_of_event(db: &Database, sequence: u64) -> Vec<Vec<u8>> {
    let tx = db.begin().await.unwrap();
    let stored = tx.scan(KeyRange::prefix("log:"), 100_000).await.unwrap();
    tx.rollback().await;
    let digits = format!(":{sequence:016}");
    let is_of_event = |key: &Vec<u8>| {
        let text = String::from_utf8_lossy(key);
        text.ends_with(&digits) && (text.contains(":event:") || text.contains(":entity:"))
    };
    let keys: Vec<_> = stored.into_iter().map(|(key, _)| key).filter(is_of_event).collect();
    assert_eq!(keys.len(), 2);
    keys
}

/// Replaces the bytes of an event, and returns what they were.
pub async fn damage(db: &Database, sequence: u64) -> Vec<(Vec<u8>, Vec<u8>)> {
    let keys = keys_of_event(db, sequence).await;
    let replace = |tx: Transaction| async move {
        let mut were = Vec::new();
        for key in keys {
            were.push((key.clone(), tx.get(&key).await?.unwrap_or_default()));
            tx.system_keys().put(key, b"nonsense".to_vec()).await?;
        }
        Ok(were)
    };
    db.transaction(replace).await.unwrap()
}

/// Undoes it.
pub async fn repair(db: &Database, were: Vec<(Vec<u8>, Vec<u8>)>) {
    let restore = |tx: Transaction| async move {
        for (key, value) in were {
            tx.system_keys().put(key, value).await?;
        }
        Ok(())
    };
    db.transaction(restore).await.unwrap();
}
