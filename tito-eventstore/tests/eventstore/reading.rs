use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use tito_core::keys::KeyRange;
use tito_core::prelude::*;
use tito_eventstore::{EventStoreConfig, EventStoreError, Manager, NewEvent, Select};
use tito_testkit::{Call, FaultEngine, TestClock, WithFaults};

use crate::support::*;

const EVENTS: [(&str, &str); 7] =
    [("a.1", "x"), ("a.2", "y"), ("b.1", "y"), ("b.2", "x"), ("c.3", "z"), ("a.1", "y"), ("b.1", "x")];

#[fact]
pub async fn filters_select_by_each_token(db: Database, _: TestClock) {
    let store = store(&db).await;
    store.append(EVENTS.map(|(entity, event_type)| event(entity, event_type))).await.unwrap();
    for (pattern, expected) in [
        ("*", vec![1, 2, 3, 4, 5, 6, 7]),
        ("a", vec![1, 2, 6]),
        ("a.1", vec![1, 6]),
        ("a.1.x", vec![1]),
        ("a.*.y", vec![2, 6]),
        ("*.1", vec![1, 3, 6, 7]),
        ("*.1.x", vec![1, 7]),
        ("*.*.z", vec![5]),
        ("a.*.*", vec![1, 2, 6]),
        ("d", vec![]),
        ("a.4", vec![]),
    ] {
        assert_eq!(sequences(&store, pattern).await, expected, "{pattern}");
    }
}

#[fact]
pub async fn several_filters_are_read_in_the_order_of_sequences(db: Database, _: TestClock) {
    let store = store(&db).await;
    store.append(EVENTS.map(|(entity, event_type)| event(entity, event_type))).await.unwrap();
    let select = |one: &str, other: &str| Select::filter(one).or(other);
    assert_eq!(sequences(&store, select("b.1", "a.1")).await, [1, 3, 6, 7]);
    assert_eq!(sequences(&store, select("b.1.x", "a.1.y")).await, [6, 7]);
    assert_eq!(sequences(&store, select("a.1", "a.1.x")).await, [1, 6], "each event once");
    assert_eq!(sequences(&store, select("c", "a.1")).await, [1, 5, 6]);
    assert_eq!(sequences(&store, select("b.1", "a.1").after(1).up_to(6)).await, [3, 6]);
}

#[fact]
pub async fn a_range_of_sequences_is_read(db: Database, _: TestClock) {
    let store = store(&db).await;
    store.append((0..300).map(|_| event("a.1", "x")).collect::<Vec<_>>()).await.unwrap();
    assert_eq!(sequences(&store, Select::all().after(100).up_to(250)).await, (101..=250).collect::<Vec<_>>());
    assert_eq!(sequences(&store, Select::filter("a.1").after(299)).await, [300]);
    assert_eq!(sequences(&store, Select::filter("a.1").after(300)).await, NONE);
    assert_eq!(sequences(&store, Select::all().after(u64::MAX)).await, NONE);
    assert_eq!(sequences(&store, Select::all().up_to(u64::MAX)).await.len(), 300);
    assert_eq!(sequences(&store, Select::all().after(5).up_to(5)).await, NONE);
    assert_eq!(sequences(&store, Select::all().after(9).up_to(5)).await, NONE);
}

#[fact]
pub async fn an_entity_is_read_without_the_others(db: Database, _: TestClock) {
    let db = FaultEngine::new(db).database();
    let store = store(&db).await;
    for part in 0..10 {
        let events = (0..200).map(|number| event(&format!("a.{}", part * 200 + number), "x"));
        store.append(events.collect::<Vec<_>>()).await.unwrap();
    }
    store.append([event("b.1", "x"), event("b.2", "x"), event("b.1", "y")]).await.unwrap();
    let before = db.faults().rows_read();
    let mut seen = Seen::default();
    store.evolve(&mut seen, "b.1").await.unwrap();
    assert_eq!(seen.0, [2001, 2003]);
    assert_eq!(db.faults().rows_read() - before, 3, "the head and the two events");
    let begun = db.faults().count(Call::Begin);
    store.evolve(&mut Seen::default(), "b.1").await.unwrap();
    assert_eq!(db.faults().count(Call::Begin) - begun, 1, "in one transaction");
}

#[fact]
pub async fn many_entities_are_merged_in_order(db: Database, _: TestClock) {
    let store = store(&db).await;
    let mut random = fastrand::Rng::with_seed(tito_testkit::seed());
    let mut expected = Vec::new();
    for _ in 0..4 {
        let events: Vec<_> = (0..200).map(|_| random.u32(0..100)).collect();
        let last =
            store.append(events.iter().map(|id| event(&format!("a.{id}"), "x")).collect::<Vec<_>>()).await.unwrap();
        let of_few = events.iter().zip(last - 199..).filter(|(id, _)| **id < 50);
        expected.extend(of_few.map(|(_, sequence)| sequence));
    }
    let few = (0..50).fold(Select::all(), |select, id| select.or(format!("a.{id}")));
    assert_eq!(sequences(&store, few).await, expected);
    let more = (0..100).fold(Select::all(), |select, id| select.or(format!("a.{id}")));
    assert_eq!(sequences(&store, more).await, (1..=800).collect::<Vec<_>>(), "too many to be merged");
}

#[fact]
pub async fn a_tail_goes_on_with_what_is_appended(db: Database, _: TestClock) {
    let store = store(&db).await;
    store.append(event("a.1", "x")).await.unwrap();
    let (found, mut sequences) = tokio::sync::mpsc::unbounded_channel();
    let mut tail = store.tail("a");
    let following =
        tokio::spawn(async move { while found.send(tail.next().await.unwrap().unwrap().sequence()).is_ok() {} });
    assert_eq!(sequences.recv().await, Some(1));
    store.append([event("b.1", "x"), event("a.1", "y")]).await.unwrap();
    store.append(event("a.2", "x")).await.unwrap();
    // An append of this process is noticed at once, whatever the clock says.
    assert_eq!((sequences.recv().await, sequences.recv().await), (Some(3), Some(4)));
    following.abort();
    let ended: Vec<_> = store.tail(Select::filter("a").up_to(3)).map(|event| event.unwrap().sequence()).collect().await;
    assert_eq!(ended, [1, 3]);
}

#[fact]
pub async fn a_tail_finds_what_other_processes_append(db: Database, clock: TestClock) {
    let db = FaultEngine::new(db).with_foreign_writers().database();
    let store = store(&db).await;
    let mut tail = store.tail(Select::all());
    let waiting = tokio::spawn(async move { tail.next().await.unwrap().unwrap().sequence() });
    store.append(event("a.1", "x")).await.unwrap();
    let turning = async {
        loop {
            clock.advance(Duration::from_millis(20));
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        sequence = waiting => assert_eq!(sequence.unwrap(), 1),
        () = turning => {}
    }
}

#[fact]
pub async fn large_events_are_read_in_small_pages(db: Database, _: TestClock) {
    let store = store(&db).await;
    for _ in 0..20 {
        store.append(NewEvent::raw("a.1", "x", vec![1; 500_000])).await.unwrap();
    }
    let lengths: Vec<_> = read(&store, "a.1").await.iter().map(|event| event.bytes().len()).collect();
    assert_eq!(lengths, [500_000; 20]);
}

#[fact]
pub async fn what_is_no_event_is_named(db: Database, _: TestClock) {
    let store = store(&db).await;
    store.append(event("a.1", "x")).await.unwrap();
    let tx = db.begin().await.unwrap();
    let stored = tx.scan(KeyRange::prefix("log:"), 100).await.unwrap();
    tx.rollback().await;
    let key = stored.iter().map(|(key, _)| key).find(|key| String::from_utf8_lossy(key).contains(":event:")).unwrap();
    let (damaged, value) = (key.clone(), b"nonsense".to_vec());
    db.transaction(|tx| async move { tx.system_keys().put(damaged, value).await }).await.unwrap();
    let error = store.evolve(&mut Seen::default(), Select::all()).await.unwrap_err();
    let EventStoreError::Engine(error) = error.source else { panic!("{error:?}") };
    assert!(matches!(error, TitoError::Malformed { .. }), "{error:?}");
    assert!(error.to_string().contains(&*String::from_utf8_lossy(key)), "{error}");
}

#[fact]
pub async fn a_store_that_is_deleted_while_it_is_read_does_not_look_shorter(db: Database, _: TestClock) {
    let manager = Manager::new(db);
    let store = manager.create_event_store(EventStoreConfig::new("bank")).await.unwrap();
    for _ in 0..3 {
        store.append((0..1000).map(|_| event("a.1", "x")).collect::<Vec<_>>()).await.unwrap();
    }
    for select in [Select::all(), "a.1".into(), Select::filter("a.1").or("a.2")] {
        let name = "bank";
        let store = match manager.get_event_store(name).await {
            Ok(store) => store,
            Err(_) => manager.create_event_store(EventStoreConfig::new(name)).await.unwrap(),
        };
        store.append((0..1000).map(|_| event("a.1", "x")).collect::<Vec<_>>()).await.unwrap();
        let mut events = store.events(select);
        events.next().await.unwrap().unwrap();
        manager.delete_event_store(name).await.unwrap();
        manager.sweep().await.unwrap();
        let read: Result<Vec<_>, _> = events.try_collect().await;
        let error = read.map(|events| events.len()).unwrap_err();
        assert!(matches!(error, EventStoreError::StoreNotFound { .. }), "{error:?}");
    }
}

#[fact]
pub async fn a_tail_ends_with_its_store(db: Database, _: TestClock) {
    let manager = Manager::new(db);
    let store = manager.create_event_store(EventStoreConfig::new("bank")).await.unwrap();
    store.append(event("a.1", "x")).await.unwrap();
    let mut tail = store.tail(Select::all());
    assert_eq!(tail.next().await.unwrap().unwrap().sequence(), 1);
    let waiting = tokio::spawn(async move { tail.next().await });
    manager.delete_event_store("bank").await.unwrap();
    // This process has deleted it, so the tail is told, whatever the clock says.
    let ended = waiting.await.unwrap();
    assert!(matches!(ended, Some(Err(EventStoreError::StoreNotFound { .. }))), "{ended:?}");
}

#[fact]
pub async fn a_slow_reader_of_a_tail_is_read_one_page_ahead_of(db: Database, _: TestClock) {
    let db = FaultEngine::new(db).database();
    let store = store(&db).await;
    store.append((0..1000).map(|_| event("a.1", "x")).collect::<Vec<_>>()).await.unwrap();
    db.faults().reset_counts();
    let mut tail = store.tail(Select::all());
    assert_eq!((db.faults().count(Call::Scan), db.faults().rows_read()), (0, 0), "nothing was asked for");
    let first = tail.next().await.unwrap().unwrap();
    let page = db.faults().rows_read() - 1; // and the head
    assert_eq!((first.sequence(), db.faults().count(Call::Scan)), (1, 1));
    // Whatever is appended meanwhile, as long as events of that page are left nothing is read.
    store.append((0..1000).map(|_| event("a.1", "x")).collect::<Vec<_>>()).await.unwrap();
    for sequence in 2..=page {
        assert_eq!(tail.next().await.unwrap().unwrap().sequence(), sequence);
    }
    assert_eq!(db.faults().count(Call::Scan), 1);
    assert_eq!(tail.next().await.unwrap().unwrap().sequence(), page + 1);
    assert_eq!(db.faults().count(Call::Scan), 2);
}
