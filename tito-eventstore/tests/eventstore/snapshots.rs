use tito_core::BoxError;
use tito_core::prelude::*;
use tito_eventstore::{
    Event, EventStore, EventStoreConfig, EventStoreError, Evolver, Manager, Model, Retention, Select, Snapshot,
};
use tito_testkit::TestClock;

use crate::support::*;

/// Counts events, and how many of them it was evolved by since it was made.
#[derive(Clone, Debug, Default)]
struct Count {
    events: u64,
    folded: u64,
    version: u32,
    every: u64,
}

impl Evolver for Count {
    fn evolve(&mut self, _: &Event) -> Result<(), BoxError> {
        self.events += 1;
        self.folded += 1;
        Ok(())
    }

    fn as_snapshot(&mut self) -> Option<&mut dyn Snapshot> {
        Some(self)
    }
}

impl Snapshot for Count {
    fn name(&self) -> String {
        "count".to_string()
    }

    fn version(&self) -> u32 {
        self.version
    }

    fn every(&self) -> u64 {
        self.every
    }

    fn save(&self) -> Result<Vec<u8>, BoxError> {
        Ok(self.events.to_string().into_bytes())
    }

    fn restore(&mut self, state: &[u8]) -> Result<(), BoxError> {
        self.events = std::str::from_utf8(state)?.parse()?;
        Ok(())
    }
}

fn every(every: u64) -> Count {
    Count { every, version: 1, ..Count::default() }
}

/// How many events a new model counts, and how many of them it had to be folded from.
async fn count(store: &EventStore, mut model: Count, select: impl Into<Select> + Send) -> (u64, u64) {
    store.evolve(&mut model, select).await.unwrap();
    (model.events, model.folded)
}

async fn filled(db: &Database) -> EventStore {
    let store = store(db).await;
    store.append((0..150).map(|_| event("a.1", "x")).collect::<Vec<_>>()).await.unwrap();
    store
}

#[fact]
pub async fn evolving_goes_on_from_a_snapshot(db: Database, _: TestClock) {
    let store = filled(&db).await;
    assert_eq!(count(&store, every(100), "a.1").await, (150, 150));
    store.append((0..50).map(|_| event("a.1", "x")).collect::<Vec<_>>()).await.unwrap();
    assert_eq!(count(&store, every(100), "a.1").await, (200, 50));
    assert_eq!(count(&store, every(100), "a.1").await, (200, 50), "too few for another one");
    assert_eq!(count(&store, every(50), "a.1").await, (200, 50));
    assert_eq!(count(&store, every(50), "a.1").await, (200, 0));
    // What a snapshot does not fit is folded from the first event.
    assert_eq!(count(&store, every(1000), Select::filter("a.1").up_to(120)).await, (120, 120));
    assert_eq!(count(&store, every(1000), Select::filter("a.1").after(120)).await, (80, 80));
    assert_eq!(count(&store, every(1000), "a").await, (200, 200));
}

#[fact]
pub async fn snapshots_of_another_version_are_passed_over(db: Database, _: TestClock) {
    let store = filled(&db).await;
    assert_eq!(count(&store, every(100), "a.1").await, (150, 150));
    assert_eq!(count(&store, Count { version: 2, ..every(100) }, "a.1").await, (150, 150));
    assert_eq!(count(&store, Count { version: 2, ..every(100) }, "a.1").await, (150, 0));
}

#[fact]
pub async fn a_snapshot_is_taken_on_request(db: Database, _: TestClock) {
    let store = filled(&db).await;
    assert_eq!(count(&store, every(0), "a.1").await, (150, 150));
    assert_eq!(count(&store, every(0), "a.1").await, (150, 150));
    store.snapshot(&mut every(0), "a.1").await.unwrap();
    assert_eq!(count(&store, every(0), "a.1").await, (150, 0));
}

#[fact]
pub async fn a_shared_model_has_snapshots_too(db: Database, _: TestClock) {
    let store = filled(&db).await;
    store.evolve(&mut Model::new(every(100)), "a.1").await.unwrap();
    let mut model = Model::new(every(100));
    store.evolve(&mut model, "a.1").await.unwrap();
    assert_eq!(model.with(|count| (count.events, count.folded)), (150, 0));
    assert_eq!(model.last_sequence("a.1"), 150);
    // One of the value alone is another snapshot.
    assert_eq!(count(&store, every(100), "a.1").await, (150, 150));
}

#[fact]
pub async fn a_shared_model_is_not_set_back_by_a_snapshot(db: Database, _: TestClock) {
    let store = filled(&db).await;
    store.append((0..150).map(|_| event("a.2", "x")).collect::<Vec<_>>()).await.unwrap();
    for entity in ["a.1", "a.2"] {
        store.evolve(&mut Model::new(every(100)), entity).await.unwrap();
    }
    let mut model = Model::new(every(100));
    store.evolve(&mut model, "a.1").await.unwrap();
    store.evolve(&mut model, "a.2").await.unwrap();
    assert_eq!(model.with(|count| count.events), 300);
    assert_eq!((model.last_sequence("a.1"), model.last_sequence("a.2")), (150, 300));
    store.evolve(&mut model, "a.1").await.unwrap();
    assert_eq!(model.with(|count| count.events), 300);
}

#[fact]
pub async fn a_snapshot_holds_what_was_selected_alone(db: Database, _: TestClock) {
    let store = filled(&db).await;
    store.append((0..150).map(|_| event("a.2", "x")).collect::<Vec<_>>()).await.unwrap();
    let mut both = Model::new(every(100));
    store.evolve(&mut both, "a.1").await.unwrap();
    store.evolve(&mut both, "a.2").await.unwrap();
    let refused = store.snapshot(&mut both, "a.2").await.unwrap_err();
    assert!(matches!(refused.source, EventStoreError::Snapshot { operation: "written", .. }), "{refused:?}");
    let mut one = Model::new(every(100));
    store.evolve(&mut one, "a.2").await.unwrap();
    assert_eq!(one.with(|count| count.events), 150);
    assert_eq!(one.last_sequence("a.1"), 0);
}

#[fact]
pub async fn snapshots_from_before_what_was_dropped_are_passed_over(db: Database, _: TestClock) {
    let store = filled(&db).await;
    let manager = Manager::new(db);
    let keep = |events| EventStoreConfig::new("bank").retention(Retention::default().events(events));
    assert_eq!(count(&store, every(100), "a.1").await, (150, 150));
    manager.update_event_store(keep(20)).await.unwrap();
    manager.sweep().await.unwrap();
    assert_eq!(count(&store, every(100), "a.1").await, (150, 0), "it stands for what was dropped");
    store.append((0..50).map(|_| event("a.1", "x")).collect::<Vec<_>>()).await.unwrap();
    manager.sweep().await.unwrap();
    // With it, some events in the middle would be missing; without it, all that were dropped.
    let error = store.evolve(&mut every(100), "a.1").await.unwrap_err();
    assert!(matches!(error.source, EventStoreError::EventsDropped { dropped: 180, .. }), "{error:?}");
    assert_eq!(count(&store, every(100), Select::filter("a.1").kept()).await, (20, 20));
}
