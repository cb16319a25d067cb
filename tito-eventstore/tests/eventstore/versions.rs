//! Snapshots of several versions, and what becomes of models where events were dropped.

use tito_core::BoxError;
use tito_core::keys::KeyRange;
use tito_core::prelude::*;
use tito_eventstore::{
    Event, EventStore, EventStoreConfig, EventStoreError, EvolveError, Evolver, Manager, Model, NewEvent, Retention,
    Select, Snapshot, Watch,
};
use tito_testkit::{Call, FaultEngine, TestClock, WithFaults};

use crate::support::*;

/// How a program deals with snapshots of older versions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Upgrades {
    #[default]
    None,
    All,
    Fails,
}

/// Counts events, as a program of some version does. Snapshots of version n are n bytes longer than the number is.
#[derive(Clone, Debug, Default)]
struct Count {
    events: u64,
    folded: u64,
    version: u32,
    upgrades: Upgrades,
    /// A snapshot of at least so many events can't be restored.
    too_many: Option<u64>,
    large: bool,
}

fn version(version: u32) -> Count {
    Count { version, ..Count::default() }
}

impl Evolver for Count {
    fn evolve(&mut self, event: &Event) -> Result<(), BoxError> {
        if event.event_type() == "poison" {
            return Err("it is poison".into());
        }
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
        1
    }

    fn save(&self) -> Result<Vec<u8>, BoxError> {
        let padding = if self.large { 2 << 20 } else { self.version as usize };
        Ok([self.events.to_string().into_bytes(), vec![b'-'; padding]].concat())
    }

    fn restore(&mut self, state: &[u8]) -> Result<(), BoxError> {
        let text = std::str::from_utf8(state)?;
        let digits = text.trim_end_matches('-');
        if text.len() - digits.len() != self.version as usize {
            return Err("it is of another version".into());
        }
        let events = digits.parse()?;
        if self.too_many.is_some_and(|too_many| events >= too_many) {
            return Err("there are too many".into());
        }
        self.events = events;
        Ok(())
    }

    fn upgrade(&self, version: u32, state: &[u8]) -> Result<Option<Vec<u8>>, BoxError> {
        match self.upgrades {
            Upgrades::None => Ok(None),
            Upgrades::All => Ok(Some([state, &vec![b'-'; (self.version - version) as usize]].concat())),
            Upgrades::Fails => Err("out of order".into()),
        }
    }
}

/// A store that keeps 4 events.
async fn limited(db: &Database) -> (Manager, EventStore) {
    let manager = Manager::new(db.clone());
    let limits = Retention::default().events(4);
    let store = manager.create_event_store(EventStoreConfig::new("bank").retention(limits)).await.unwrap();
    (manager, store)
}

async fn append(store: &EventStore, entity: &str, count: usize) {
    store.append((0..count).map(|_| event(entity, "x")).collect::<Vec<_>>()).await.unwrap();
}

/// How many events a new model counts, and how many of them it was folded from.
async fn count(
    store: &EventStore,
    mut model: Count,
    select: impl Into<Select> + Send,
) -> Result<(u64, u64), EvolveError> {
    store.evolve(&mut model, select).await?;
    Ok((model.events, model.folded))
}

fn is_dropped<T>(outcome: &Result<T, EvolveError>) -> bool {
    matches!(outcome, Err(EvolveError { source: EventStoreError::EventsDropped { .. }, .. }))
}

/// The keys of snapshots, behind that of the store, with their values.
async fn snapshots(db: &Database) -> Vec<(String, Vec<u8>)> {
    let tx = db.begin().await.unwrap();
    let all = tx.scan(KeyRange::prefix("log:"), 10_000).await.unwrap();
    tx.rollback().await;
    let behind = |(key, value): (Vec<u8>, Vec<u8>)| {
        let key = String::from_utf8(key).unwrap();
        key.split_once(":snapshot:").map(|(_, rest)| (rest.to_string(), value))
    };
    all.into_iter().filter_map(behind).collect()
}

async fn keys_of_snapshots(db: &Database) -> Vec<String> {
    snapshots(db).await.into_iter().map(|(key, _)| key).collect()
}

/// Writes under a key behind that of the store.
async fn put(db: &Database, behind: &str, value: Option<Vec<u8>>) {
    let tx = db.begin().await.unwrap();
    let (head, _) = tx.scan(KeyRange::prefix("log:"), 10_000).await.unwrap().remove(0);
    let store = String::from_utf8(head[..20].to_vec()).unwrap();
    let key = format!("{store}:{behind}").into_bytes();
    match value {
        Some(value) => tx.system_keys().put(key, value).await.unwrap(),
        None => tx.system_keys().delete(key).await.unwrap(),
    }
    tx.commit().await.unwrap();
}

/// A snapshot as programs stored it that kept one version.
async fn put_old(db: &Database, sequence: u64, version: u32, state: &str) {
    let value = [&sequence.to_le_bytes()[..], &version.to_le_bytes(), state.as_bytes()].concat();
    put(db, "snapshot:count:a.1.*", Some(value)).await;
}

#[fact]
pub async fn programs_of_two_versions_evolve_in_turns_and_lose_nothing(db: Database, _: TestClock) {
    let (manager, store) = limited(&db).await;
    for appended in [4, 8, 12, 16, 20] {
        append(&store, "a.1", 4).await;
        for version in [1, 2, 1, 2].map(version) {
            let first = version.version == 1;
            assert_eq!(count(&store, version, "a.1").await.unwrap().0, appended, "the first version: {first}");
        }
        manager.sweep().await.unwrap();
        for version in [2, 1].map(version) {
            assert_eq!(count(&store, version, "a.1").await.unwrap(), (appended, 0));
        }
    }
    assert_eq!(store.info().await.unwrap().events, 4);
    assert_eq!(keys_of_snapshots(&db).await, ["count:a.1.*:0000000001", "count:a.1.*:0000000002"]);
}

#[fact]
pub async fn the_newest_two_versions_are_kept(db: Database, _: TestClock) {
    let store = store(&db).await;
    append(&store, "a.1", 4).await;
    let (first, second) = ("count:a.1.*:0000000001", "count:a.1.*:0000000002");
    let (tenth, last) = ("count:a.1.*:0000000010", "count:a.1.*:0000002000");
    let steps: [(u32, &[&str]); 7] = [
        (2, &[second]),
        (1, &[first, second]),
        (10, &[second, tenth]),
        // An older one than these replaces none of them, and is not stored.
        (1, &[second, tenth]),
        (2, &[second, tenth]),
        (2000, &[tenth, last]),
        (2, &[tenth, last]),
    ];
    for (version_, expected) in steps {
        append(&store, "a.1", 1).await;
        let events = store.last_sequence().await.unwrap();
        assert_eq!(count(&store, version(version_), "a.1").await.unwrap().0, events);
        assert_eq!(keys_of_snapshots(&db).await, expected, "after version {version_}");
    }
    // Those of other selections are others.
    count(&store, version(1), Select::filter("a.1").or("b.1")).await.unwrap();
    count(&store, version(1), "a").await.unwrap();
    assert_eq!(keys_of_snapshots(&db).await.len(), 4);
}

#[fact]
pub async fn three_versions_in_turns_lose_nothing_without_saying_so(db: Database, _: TestClock) {
    let (manager, store) = limited(&db).await;
    append(&store, "a.1", 4).await;
    for version in [1, 2, 3, 1, 3, 2].map(version) {
        assert_eq!(count(&store, version, "a.1").await.unwrap().0, 4);
    }
    append(&store, "a.1", 4).await;
    manager.sweep().await.unwrap();
    for _ in 0..2 {
        assert!(is_dropped(&count(&store, version(1), "a.1").await));
        assert_eq!(count(&store, version(3), "a.1").await.unwrap().0, 8);
        assert_eq!(count(&store, version(2), "a.1").await.unwrap().0, 8);
    }
    // On purpose. What it has come to is nobody else's.
    assert_eq!(count(&store, version(1), Select::filter("a.1").kept()).await.unwrap(), (4, 4));
    assert_eq!(count(&store, version(2), "a.1").await.unwrap(), (8, 0));
}

#[fact]
pub async fn a_snapshot_under_the_old_key_is_read_and_left_to_the_programs_that_know_no_other(
    db: Database,
    _: TestClock,
) {
    let (manager, store) = limited(&db).await;
    append(&store, "a.1", 8).await;
    put_old(&db, 4, 1, "4-").await;
    manager.sweep().await.unwrap();
    assert_eq!(count(&store, version(1), "a.1").await.unwrap(), (8, 4));
    // A program of before begins with it as long as it can, and it is not overwritten by one of now.
    let both = ["count:a.1.*", "count:a.1.*:0000000001"];
    assert_eq!(keys_of_snapshots(&db).await, both);
    assert_eq!(snapshots(&db).await[0].1[..8], 4_u64.to_le_bytes());
    // Nor does that program set back one of now.
    put_old(&db, 8, 1, "1000-").await;
    assert_eq!(count(&store, version(1), "a.1").await.unwrap(), (8, 0));
    append(&store, "a.1", 4).await;
    manager.sweep().await.unwrap();
    assert!(is_dropped(&count(&store, version(2), "a.1").await));
    let upgrading = Count { upgrades: Upgrades::All, ..version(2) };
    assert_eq!(count(&store, upgrading.clone(), "a.1").await.unwrap(), (12, 4));
    // It is of one of the newest two versions until there is a third.
    assert_eq!(keys_of_snapshots(&db).await.len(), 3);
    assert_eq!(count(&store, Count { version: 3, ..upgrading }, "a.1").await.unwrap(), (12, 0));
    assert_eq!(keys_of_snapshots(&db).await, ["count:a.1.*:0000000002", "count:a.1.*:0000000003"]);
}

#[fact]
pub async fn a_snapshot_under_the_old_key_goes_once_no_program_needs_it(db: Database, _: TestClock) {
    let (manager, store) = limited(&db).await;
    append(&store, "a.1", 4).await;
    put_old(&db, 4, 1, "4-").await;
    append(&store, "a.1", 1).await;
    // Nothing was dropped, so that a program of before can fold anew.
    assert_eq!(count(&store, version(1), "a.1").await.unwrap(), (5, 1));
    assert_eq!(keys_of_snapshots(&db).await, ["count:a.1.*:0000000001"]);
    // It is too old to begin with for any.
    put_old(&db, 1, 1, "1-").await;
    manager.sweep().await.unwrap();
    append(&store, "a.1", 4).await;
    assert_eq!(count(&store, version(1), "a.1").await.unwrap(), (9, 4));
    manager.sweep().await.unwrap();
    append(&store, "a.1", 1).await;
    assert_eq!(count(&store, version(1), "a.1").await.unwrap(), (10, 1));
    assert_eq!(keys_of_snapshots(&db).await, ["count:a.1.*:0000000001"]);
    // One that can't be read is in nobody's way.
    put(&db, "snapshot:count:a.1.*", Some(b"nonsense".to_vec())).await;
    append(&store, "a.1", 1).await;
    assert_eq!(count(&store, version(1), "a.1").await.unwrap(), (11, 1));
}

#[fact]
pub async fn a_snapshot_of_an_older_version_is_upgraded(db: Database, _: TestClock) {
    let (manager, store) = limited(&db).await;
    append(&store, "a.1", 4).await;
    count(&store, version(1), "a.1").await.unwrap();
    append(&store, "a.1", 4).await;
    manager.sweep().await.unwrap();
    let with = |upgrades| Count { upgrades, ..version(5) };
    assert!(is_dropped(&count(&store, with(Upgrades::None), "a.1").await));
    let error = count(&store, with(Upgrades::Fails), "a.1").await.unwrap_err();
    let EventStoreError::Snapshot { operation: "read", source, .. } = error.source else { panic!("{error:?}") };
    assert_eq!(source.to_string(), "upgrading it from version 1: out of order");
    assert_eq!(keys_of_snapshots(&db).await, ["count:a.1.*:0000000001"]);
    assert_eq!(count(&store, with(Upgrades::All), "a.1").await.unwrap(), (8, 4));
    // The upgrade is stored, and the other program goes on by its own.
    assert_eq!(count(&store, with(Upgrades::Fails), "a.1").await.unwrap(), (8, 0));
    assert_eq!(count(&store, version(1), "a.1").await.unwrap(), (8, 4));
}

#[fact]
pub async fn an_upgrade_is_stored_however_few_events_follow(db: Database, _: TestClock) {
    let store = store(&db).await;
    append(&store, "a.1", 4).await;
    count(&store, version(1), "a.1").await.unwrap();
    assert_eq!(count(&store, Count { upgrades: Upgrades::All, ..version(2) }, "a.1").await.unwrap(), (4, 0));
    assert_eq!(keys_of_snapshots(&db).await, ["count:a.1.*:0000000001", "count:a.1.*:0000000002"]);
    // A failed one is no more than a fold anew where all events are there.
    assert_eq!(count(&store, Count { upgrades: Upgrades::Fails, ..version(3) }, "a.1").await.unwrap(), (4, 4));
}

#[fact]
pub async fn a_shared_model_upgrades_with_what_it_has_seen(db: Database, _: TestClock) {
    let (manager, store) = limited(&db).await;
    append(&store, "a.1", 4).await;
    store.evolve(&mut Model::new(version(1)), "a.1").await.unwrap();
    append(&store, "a.1", 4).await;
    manager.sweep().await.unwrap();
    assert!(is_dropped(&store.evolve(&mut Model::new(version(2)), "a.1").await));
    let mut model = Model::new(Count { upgrades: Upgrades::All, ..version(2) });
    store.evolve(&mut model, "a.1").await.unwrap();
    assert_eq!((model.with(|count| count.events), model.last_sequence("a.1")), (8, 8));
    assert_eq!(keys_of_snapshots(&db).await, ["model;0count:a.1.*:0000000001", "model;0count:a.1.*:0000000002"]);
}

#[fact]
pub async fn a_snapshot_that_can_not_be_restored_is_folded_anew_unless_events_were_dropped(db: Database, _: TestClock) {
    for nonsense in [&b"nonsense"[..], &[4, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, b'x']] {
        let (manager, store) = limited(&db).await;
        append(&store, "a.1", 4).await;
        count(&store, version(1), "a.1").await.unwrap();
        let fails = Count { too_many: Some(4), ..version(1) };
        assert_eq!(count(&store, fails.clone(), "a.1").await.unwrap(), (4, 4));
        put(&db, "snapshot:count:a.1.*:0000000001", Some(nonsense.to_vec())).await;
        assert_eq!(count(&store, version(1), "a.1").await.unwrap(), (4, 4));
        // It was replaced.
        assert_eq!(count(&store, version(1), "a.1").await.unwrap(), (4, 0));

        append(&store, "a.1", 4).await;
        manager.sweep().await.unwrap();
        let error = count(&store, fails.clone(), "a.1").await.unwrap_err();
        assert!(matches!(&error.source, EventStoreError::Snapshot { operation: "read", .. }), "{error:?}");
        assert_eq!(count(&store, version(1), "a.1").await.unwrap(), (8, 4), "it is still there for a repaired program");
        assert_eq!(count(&store, fails, Select::filter("a.1").kept()).await.unwrap(), (4, 4));
        manager.delete_event_store("bank").await.unwrap();
        manager.sweep().await.unwrap();
    }
}

#[fact]
pub async fn a_model_is_told_that_events_were_dropped_and_begins_with_what_is_kept_on_purpose(
    db: Database,
    _: TestClock,
) {
    let (manager, store) = limited(&db).await;
    append(&store, "a.1", 12).await;
    manager.sweep().await.unwrap();
    let mut model = Model::new(version(1));
    let error = store.evolve(&mut model, "a.1").await.unwrap_err();
    let EventStoreError::EventsDropped { model: name, selection, dropped: 8 } = &error.source else {
        panic!("{error:?}")
    };
    assert_eq!((name.as_str(), selection.as_str()), ("model:count", "a.1.*"));
    assert_eq!(model.with(|count| count.folded), 0, "nothing was folded");
    assert!(is_dropped(&store.snapshot(&mut model, "a.1").await));
    for select in [Select::all(), "a".into(), Select::filter("a.1").or("b.1"), Select::all().up_to(10)] {
        assert!(is_dropped(&count(&store, version(1), select).await));
    }
    assert_eq!(count(&store, version(1), Select::filter("a.1").after(8)).await.unwrap(), (4, 4), "it says from where");

    store.evolve(&mut model, Select::filter("a.1").kept()).await.unwrap();
    assert_eq!(model.with(|count| (count.events, count.folded)), (4, 4));
    // From then on that is the beginning.
    append(&store, "a.1", 4).await;
    manager.sweep().await.unwrap();
    let mut model = Model::new(version(1));
    store.evolve(&mut model, "a.1").await.unwrap();
    assert_eq!(model.with(|count| (count.events, count.folded)), (8, 4));
}

#[fact]
pub async fn a_model_without_snapshots_begins_with_what_is_kept(db: Database, _: TestClock) {
    let (manager, store) = limited(&db).await;
    append(&store, "a.1", 12).await;
    manager.sweep().await.unwrap();
    let mut seen = Seen::default();
    store.evolve(&mut seen, "a.1").await.unwrap();
    assert_eq!(seen.0, [9, 10, 11, 12]);
}

#[fact]
pub async fn what_was_dropped_of_others_does_not_matter(db: Database, _: TestClock) {
    let (manager, store) = limited(&db).await;
    append(&store, "a.1", 4).await;
    count(&store, version(1), "a.1").await.unwrap();
    append(&store, "b.1", 8).await;
    manager.sweep().await.unwrap();
    // One of which there is nothing, and one of which all is there.
    assert_eq!(count(&store, version(1), "a.2").await.unwrap(), (0, 0));
    append(&store, "c.1", 1).await;
    for select in ["a.2", "c.1", "c", "c.1.y", "a.1.y", "d"] {
        let expected = if select == "c.1" || select == "c" { 1 } else { 0 };
        assert_eq!(count(&store, version(1), select).await.unwrap().0, expected, "{select}");
    }
    // One that has slept, and wakes.
    assert_eq!(count(&store, version(1), "a.1").await.unwrap(), (4, 0));
    append(&store, "a.1", 1).await;
    manager.sweep().await.unwrap();
    assert_eq!(count(&store, version(1), "a.1").await.unwrap(), (5, 1));
    // Not even of the same entity, where another event type is selected.
    append(&store, "e.1", 2).await;
    store.append(event("e.1", "y")).await.unwrap();
    append(&store, "f.1", 3).await;
    manager.sweep().await.unwrap();
    assert_eq!(count(&store, version(1), "e.1.y").await.unwrap(), (1, 1));
    assert!(is_dropped(&count(&store, version(1), "e.1").await));
    for select in ["b.1", "b", "b.1.x", "*.1"] {
        assert!(is_dropped(&count(&store, version(1), select).await), "{select}");
    }
    assert!(is_dropped(&count(&store, version(1), Select::filter("a.2").or("b.1")).await));
}

#[fact]
pub async fn what_programs_of_before_have_dropped_may_be_of_anything(db: Database, _: TestClock) {
    let (manager, store) = limited(&db).await;
    append(&store, "a.1", 4).await;
    append(&store, "b.1", 2).await;
    count(&store, version(1), "a.1").await.unwrap();
    append(&store, "b.1", 6).await;
    manager.sweep().await.unwrap();
    // As they leave it.
    for gone in ["gone:a", "gone:a:1", "gone:b", "gone:b:1"] {
        put(&db, gone, None).await;
    }
    put(&db, "tail", Some(br#"{"dropped":8,"bytes":312}"#.to_vec())).await;
    assert!(is_dropped(&count(&store, version(1), "b.1").await));
    // The last event of it is in the snapshot.
    assert_eq!(count(&store, version(1), "a.1").await.unwrap(), (4, 0));
    assert_eq!(count(&store, version(1), "c.1").await.unwrap(), (0, 0));
    append(&store, "a.1", 1).await;
    assert!(is_dropped(&count(&store, version(1), "a.1").await), "nobody knows what was before");
    assert_eq!(count(&store, version(1), Select::filter("a.1").kept()).await.unwrap(), (1, 1));
    // What is dropped from then on is noted.
    append(&store, "c.1", 1).await;
    append(&store, "d.1", 8).await;
    manager.sweep().await.unwrap();
    append(&store, "e.1", 1).await;
    assert_eq!(count(&store, version(1), "e.1").await.unwrap(), (1, 1));
    assert!(is_dropped(&count(&store, version(1), "c.1").await));
}

#[fact]
pub async fn a_shared_model_that_lacks_what_was_dropped_is_told(db: Database, _: TestClock) {
    let (manager, store) = limited(&db).await;
    append(&store, "a.1", 4).await;
    let (mut idle, mut busy) = (Model::new(version(1)), Model::new(version(1)));
    store.evolve(&mut idle, "a.1").await.unwrap();
    store.evolve(&mut busy, "a.1").await.unwrap();
    for _ in 0..3 {
        append(&store, "a.1", 4).await;
        store.evolve(&mut busy, "a.1").await.unwrap();
        manager.sweep().await.unwrap();
    }
    assert_eq!(busy.with(|count| count.events), 16);
    assert!(is_dropped(&store.evolve(&mut idle, "a.1").await));
    assert_eq!(idle.with(|count| count.events), 4, "nothing was folded");
    store.evolve(&mut idle, Select::filter("a.1").kept()).await.unwrap();
    assert_eq!(idle.with(|count| count.events), 8);
}

#[fact]
pub async fn a_watcher_begins_with_a_snapshot_too(db: Database, _: TestClock) {
    let (manager, store) = limited(&db).await;
    append(&store, "a.1", 4).await;
    count(&store, version(1), "a.1").await.unwrap();
    append(&store, "a.1", 4).await;
    manager.sweep().await.unwrap();
    for watch in [Watch::filter("a.1"), Watch::filter("a.1").no_wait(), Watch::filter("a.1").on_error(|_| ())] {
        let model = store.watch(version(1), watch).await.unwrap().stop().await.unwrap();
        assert_eq!((model.events, model.folded), (8, 4));
    }
    for watch in [Watch::filter("a.1"), Watch::filter("a.1").no_wait()] {
        assert!(matches!(store.watch(version(2), watch).await, Err(EventStoreError::EventsDropped { .. })));
    }
    let model = store.watch(version(2), Watch::filter("a.1").kept()).await.unwrap().stop().await.unwrap();
    assert_eq!((model.events, model.folded), (4, 4));
}

#[fact]
pub async fn a_snapshot_that_is_too_large_leaves_the_others_as_they_are(db: Database, _: TestClock) {
    let store = store(&db).await;
    append(&store, "a.1", 4).await;
    for older in [1, 2].map(version) {
        count(&store, older, "a.1").await.unwrap();
    }
    let before = snapshots(&db).await;
    let large = Count { large: true, ..version(3) };
    assert_eq!(count(&store, large.clone(), "a.1").await.unwrap(), (4, 4));
    let error = store.snapshot(&mut large.clone(), "a.1").await.unwrap_err();
    assert!(matches!(&error.source, EventStoreError::Engine(TitoError::LimitExceeded { .. })));
    assert_eq!(snapshots(&db).await, before);
}

#[fact]
pub async fn an_event_that_stops_a_fold_leaves_no_snapshot(db: Database, _: TestClock) {
    let store = store(&db).await;
    append(&store, "a.1", 4).await;
    store.append(NewEvent::raw("a.1", "poison", "data")).await.unwrap();
    assert!(matches!(
        count(&store, version(1), "a.1").await.unwrap_err().source,
        EventStoreError::Evolver { sequence: 5, .. }
    ));
    assert_eq!(keys_of_snapshots(&db).await, NONE.map(|_| String::new()));
}

#[fact]
pub async fn versions_at_once_beside_writers_and_sweeps_lose_nothing(db: Database, _: TestClock) {
    let manager = Manager::new(db.clone());
    let limits = Retention::default().events(40);
    let store = manager.create_event_store(EventStoreConfig::new("bank").retention(limits)).await.unwrap();
    let evolve = |number: u32| {
        let store = store.clone();
        async move {
            let mut model = Count { upgrades: Upgrades::All, ..version(number) };
            match store.evolve(&mut model, "a.1").await {
                Ok(last) => assert_eq!(model.events, last, "version {number}"),
                // It stores none, as there are two newer versions.
                Err(EvolveError { source: EventStoreError::EventsDropped { .. }, .. }) if number == 1 => {}
                Err(error) => panic!("version {number}: {error:?}"),
            }
        }
    };
    for _ in 0..30 {
        let evolving = futures::future::join_all([1, 2, 3, 2, 1].map(evolve));
        futures::join!(evolving, append(&store, "a.1", 10), async { manager.sweep().await.unwrap() });
    }
    assert_eq!(count(&store, version(3), "a.1").await.unwrap().0, 300);
    assert!(keys_of_snapshots(&db).await.len() <= 3);
}

#[fact]
pub async fn what_is_dropped_while_a_model_is_folded_is_told_too(db: Database, _: TestClock) {
    // Before the first page, which has 64 events, and before the second one; what that has to have, and what not.
    for (begin, kept, is_told) in [(2, 99, true), (3, 20, true), (3, 50, false)] {
        for select in ["a.1", "a", "*"] {
            let faulty = FaultEngine::new(db.clone()).database();
            let store = Manager::new(faulty.clone()).create_event_store(EventStoreConfig::new("bank")).await.unwrap();
            append(&store, "a.1", 100).await;
            let manager = Manager::new(db.clone());
            let limits = Retention::default().events(kept);
            manager.update_event_store(EventStoreConfig::new("bank").retention(limits)).await.unwrap();
            let gate = faulty.faults().at(Call::Begin).nth(begin).hold();
            let mut model = version(1);
            let (evolved, ()) = futures::join!(store.evolve(&mut model, select), async {
                gate.arrivals(1).await;
                manager.sweep().await.unwrap();
                gate.open();
            });
            if is_told {
                assert!(is_dropped(&evolved), "{select}: {evolved:?}");
            } else {
                assert_eq!((evolved.unwrap(), model.events), (100, 100), "{select}");
            }
            manager.delete_event_store("bank").await.unwrap();
            manager.sweep().await.unwrap();
        }
    }
}
