use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use futures::FutureExt;
use serde_json::Value;
use tito_core::BoxError;
use tito_core::Transaction;
use tito_core::TxOptions;
use tito_core::event::TitoEvent;
use tito_core::prelude::*;
use tito_eventstore::types::{Codec, EventData, EventType};
use tito_eventstore::{EventStoreConfig, EventStoreError, Manager, NewEvent, Select};
use tito_testkit::{Call, FaultEngine, Harness, TestClock, WithFaults};

use crate::support::*;

#[fact]
pub async fn sequences_are_consecutive_over_all_appends(db: Database, _: TestClock) {
    let store = store(&db).await;
    assert_eq!(store.last_sequence().await.unwrap(), 0);
    assert_eq!(store.append(event("account.1", "opened")).await.unwrap(), 1);
    assert_eq!(store.append([event("account.2", "opened"), event("account.1", "closed")]).await.unwrap(), 3);
    assert_eq!(sequences(&store, Select::all()).await, [1, 2, 3]);
    assert_eq!(store.last_sequence().await.unwrap(), 3);
    assert_eq!(store.event(2).await.unwrap().unwrap().subject(), "account.2.opened");
    assert_eq!(store.event(0).await.unwrap(), None);
    assert_eq!(store.event(4).await.unwrap(), None);
}

#[fact]
pub async fn an_append_is_all_or_nothing(db: Database, _: TestClock) {
    let store = store(&db).await;
    let refused = store.append([event("account.1", "opened"), event("account.2", "opened").expect_sequence(7)]).await;
    assert!(matches!(refused, Err(EventStoreError::SequenceConflict { expected: 7, actual: 0, .. })), "{refused:?}");
    let refused = store.append([event("account.1", "opened"), event("account", "opened")]).await;
    assert!(matches!(refused, Err(EventStoreError::EventEntityInvalid { .. })), "{refused:?}");
    assert_eq!(store.last_sequence().await.unwrap(), 0);
    assert_eq!(sequences(&store, Select::all()).await, NONE);
}

#[fact]
pub async fn an_id_is_appended_once(db: Database, _: TestClock) {
    let store = store(&db).await;
    let first = event("account.1", "opened").id("a");
    assert_eq!(store.append(first.clone()).await.unwrap(), 1);
    assert_eq!(store.append(event("account.1", "deposited").id("b")).await.unwrap(), 2);
    assert_eq!(store.append(first.clone()).await.unwrap(), 1, "the sequence that it has");
    // Of several, those that are new are appended.
    assert_eq!(store.append([first.clone(), event("account.1", "closed").id("c")]).await.unwrap(), 3);
    assert_eq!(
        store.append([event("account.2", "opened").id("d"), event("account.2", "opened").id("d")]).await.unwrap(),
        4
    );
    assert_eq!(sequences(&store, Select::all()).await, [1, 2, 3, 4]);
    // Two at once meet in one transaction, or one after another.
    let twice = futures::join!(
        store.append(event("account.3", "opened").id("e")),
        store.append(event("account.3", "opened").id("e"))
    );
    assert_eq!((twice.0.unwrap(), twice.1.unwrap()), (5, 5));
}

#[fact]
pub async fn an_id_that_another_event_has_is_refused(db: Database, _: TestClock) {
    let store = store(&db).await;
    let noted = |entity: &str, event_type: &str, data: &str| NewEvent::raw(entity, event_type, data).id("a");
    store.append(noted("account.1", "opened", "ada")).await.unwrap();
    let at = chrono::DateTime::from_timestamp(1, 0).unwrap();
    let again = noted("account.1", "opened", "ada").metadata("request", "second").time(at);
    assert_eq!(store.append(again).await.unwrap(), 1, "time and metadata may differ");
    let others = [
        ("entity", noted("account.2", "opened", "ada")),
        ("type", noted("account.1", "closed", "ada")),
        ("data", noted("account.1", "opened", "grace")),
    ];
    for (differing, other) in others {
        let new = event("account.9", "opened").id("new");
        let refused = store.append([new.clone(), other.clone()]).await.unwrap_err();
        let EventStoreError::EventIdTaken { id, differs, stored, appended } = &refused else { panic!("{refused}") };
        assert_eq!((id.as_str(), *differs, stored.sequence()), ("a", differing, 1));
        assert_eq!(stored.subject(), "account.1.opened");
        assert_ne!((stored.subject(), stored.bytes()), (appended.subject(), appended.bytes()));
        assert!(!refused.is_retryable());
        // Within one append, and within one transaction.
        let refused =
            store.append([noted("account.1", "opened", "ada").id("b"), other.clone().id("b")]).await.unwrap_err();
        assert!(matches!(refused, EventStoreError::EventIdTaken { .. }), "{refused}");
        let tx = db.begin().await.unwrap();
        store.append_in(&tx, noted("account.1", "opened", "ada").id("c")).await.unwrap();
        let refused = store.append_in(&tx, other.id("c")).await.unwrap_err();
        assert!(matches!(refused, EventStoreError::EventIdTaken { .. }), "{refused}");
        tx.rollback().await;
    }
    assert_eq!(sequences(&store, Select::all()).await, [1], "nothing else was appended");
}

/// Data whose members are written in any order.
#[derive(Debug)]
struct Unordered(String);

impl EventData for Unordered {
    const EVENT_TYPES: &'static [EventType] = &[EventType { name: "opened", version: 1, codec: Codec::Json }];

    fn event_type(&self) -> EventType {
        Self::EVENT_TYPES[0]
    }

    fn encode(&self) -> Result<Vec<u8>, BoxError> {
        Ok(self.0.clone().into_bytes())
    }

    fn decode(_: &str, data: &[u8]) -> Result<Self, BoxError> {
        Ok(Self(String::from_utf8(data.to_vec())?))
    }

    fn samples() -> Vec<Self> {
        Vec::new()
    }
}

#[fact]
pub async fn the_order_of_members_is_no_difference(db: Database, _: TestClock) {
    let store = store(&db).await;
    let opened = |data: &str| NewEvent::new("account.1", Unordered(data.to_string())).id("a");
    store.append(opened(r#"{"owner":"ada","cents":1}"#)).await.unwrap();
    assert_eq!(store.append(opened(r#"{"cents": 1, "owner": "ada"}"#)).await.unwrap(), 1);
    for other in [r#"{"cents": 2, "owner": "ada"}"#, r#"{"owner":"ada"}"#, "no json"] {
        let refused = store.append(opened(other)).await.unwrap_err();
        assert!(matches!(refused, EventStoreError::EventIdTaken { differs: "data", .. }), "{refused}");
    }
}

#[fact]
pub async fn ids_and_times_are_made_up_where_none_is_given(db: Database, clock: TestClock) {
    clock.must_stand_still();
    let ids = Arc::new(std::sync::atomic::AtomicU32::new(0));
    let made = ids.clone();
    let manager = Manager::builder(db.clone())
        .clock(Arc::new(clock.clone()))
        .ids(move || format!("made-{}", made.fetch_add(1, std::sync::atomic::Ordering::Relaxed)))
        .build();
    let store = manager.create_event_store(EventStoreConfig::new("bank")).await.unwrap();
    store.append([event("account.1", "opened"), event("account.1", "closed")]).await.unwrap();
    let stored = read(&store, Select::all()).await;
    assert_eq!([stored[0].id(), stored[1].id()], ["made-0", "made-1"]);
    let now = tito_core::clock::Clock::now_millis(&clock);
    assert_eq!(stored[0].time().timestamp_millis() as u64, now);
    assert_eq!(stored[0].recorded().physical_millis(), now);

    let other = Manager::new(db).get_event_store("bank").await.unwrap();
    other.append([event("account.2", "opened"), event("account.2", "closed")]).await.unwrap();
    let stored = read(&other, "account.2").await;
    assert_ne!(stored[0].id(), stored[1].id());
}

#[fact]
pub async fn an_event_is_read_as_it_was_written(db: Database, _: TestClock) {
    let store = store(&db).await;
    let time = DateTime::<Utc>::from_timestamp_micros(-1_234_567).unwrap();
    let data: Vec<u8> = (0..=255).collect();
    let new = NewEvent::raw("konto.größe-🎈", "eröffnet", data.clone())
        .id("an id: 1")
        .time(time)
        .metadata("user", "ada")
        .metadata("", "empty\nname");
    store.append(new).await.unwrap();
    let stored = store.event(1).await.unwrap().unwrap();
    assert_eq!(stored.sequence(), 1);
    assert_eq!(stored.id(), "an id: 1");
    assert_eq!(stored.subject(), "konto.größe-🎈.eröffnet");
    assert_eq!(stored.entity(), "konto.größe-🎈");
    assert_eq!((stored.entity_type(), stored.entity_id(), stored.event_type()), ("konto", "größe-🎈", "eröffnet"));
    assert_eq!(stored.time(), time);
    assert_eq!(stored.bytes(), data);
    assert_eq!((stored.codec(), stored.version()), (Codec::Binary, 1));
    let metadata =
        BTreeMap::from([("user".to_string(), "ada".to_string()), (String::new(), "empty\nname".to_string())]);
    assert_eq!(stored.metadata(), metadata);
    assert_eq!(read(&store, "konto.größe-🎈").await, [stored]);
}

#[fact]
pub async fn rows_and_events_and_other_stores_commit_together(db: Database, _: TestClock) {
    let manager = Manager::new(db.clone());
    let bank = manager.create_event_store(EventStoreConfig::new("bank")).await.unwrap();
    let audit = manager.create_event_store(EventStoreConfig::new("audit")).await.unwrap();
    let (to_bank, to_audit) = (bank.clone(), audit.clone());
    let written = db.transaction(|tx| async move {
        tx.put(b"row".to_vec(), b"1".to_vec()).await?;
        let sequence = to_bank.append_in(&tx, event("account.1", "opened")).await?;
        to_audit.append_in(&tx, [event("log.1", "noted"), event("log.1", "noted")]).await?;
        Ok(sequence)
    });
    assert_eq!(written.await.unwrap(), 1);
    assert_eq!((bank.last_sequence().await.unwrap(), audit.last_sequence().await.unwrap()), (1, 2));

    let (to_bank, to_audit) = (bank.clone(), audit.clone());
    let refused = db.transaction_with(TxOptions::default(), |tx: Transaction| async move {
        tx.put(b"row".to_vec(), b"2".to_vec()).await?;
        to_audit.append_in(&tx, event("log.1", "noted")).await?;
        to_bank.append_in(&tx, event("account.1", "opened").expect_sequence(0)).await
    });
    let refused = refused.await;
    assert!(matches!(refused, Err(EventStoreError::SequenceConflict { actual: 1, .. })), "{refused:?}");
    assert_eq!((bank.last_sequence().await.unwrap(), audit.last_sequence().await.unwrap()), (1, 2));
    assert_eq!(db.begin().await.unwrap().get(b"row").await.unwrap(), Some(b"1".to_vec()));
}

#[fact]
pub async fn a_transaction_that_is_rolled_back_appends_nothing(db: Database, _: TestClock) {
    let store = store(&db).await;
    let tx = db.begin().await.unwrap();
    store.append_in(&tx, event("account.1", "opened")).await.unwrap();
    tx.rollback().await;
    assert_eq!(store.append(event("account.2", "opened")).await.unwrap(), 1);
}

#[fact]
pub async fn a_transaction_appends_to_a_store_several_times(db: Database, _: TestClock) {
    let store = store(&db).await;
    let tx = db.begin().await.unwrap();
    assert_eq!(store.append_in(&tx, event("account.1", "opened").id("a").expect_sequence(0)).await.unwrap(), 1);
    assert_eq!(store.append_in(&tx, event("account.1", "deposited").expect_sequence(1)).await.unwrap(), 2);
    assert_eq!(store.append_in(&tx, event("account.1", "opened").id("a")).await.unwrap(), 1);
    tx.commit().await.unwrap();
    assert_eq!(sequences(&store, "account.1").await, [1, 2]);
}

#[fact]
pub async fn events_are_republished_in_the_same_transaction(db: Database, clock: TestClock) {
    let manager = Manager::new(db.clone());
    let store = manager.create_event_store(EventStoreConfig::new("bank").republish("bank-events")).await.unwrap();
    store.append(event("account.1", "opened").id("a")).await.unwrap();
    let _ = store.append(event("account.1", "opened").expect_sequence(7)).await.unwrap_err();
    // One that is there already is not published again.
    store.append([event("account.1", "opened").id("a"), event("account.2", "opened").id("b")]).await.unwrap();
    let mut harness =
        Harness::new(&db, &clock).subscribe("bank-events", |_: TitoEvent| async { Ok::<_, TitoError>(()) });
    let mut handled: Vec<(String, String, Value)> = harness
        .drain()
        .await
        .unwrap()
        .into_iter()
        .map(|handled| (handled.event.entity.clone(), handled.event.action.clone(), handled.event.payload().unwrap()))
        .collect();
    handled.sort_by(|one, other| one.0.cmp(&other.0));
    assert_eq!(handled.len(), 2);
    for (place, (sequence, entity)) in handled.iter().zip([(1, "account.1"), (2, "account.2")]) {
        assert_eq!((place.0.as_str(), place.1.as_str()), (entity, "opened"));
        assert_eq!((&place.2["store"], &place.2["sequence"]), (&Value::from("bank"), &Value::from(sequence)));
        assert_eq!(place.2["subject"], Value::from(format!("{entity}.opened")));
    }
}

#[fact]
pub async fn a_deleted_store_takes_nothing(db: Database, _: TestClock) {
    let manager = Manager::new(db.clone());
    let store = manager.create_event_store(EventStoreConfig::new("bank")).await.unwrap();
    store.append(event("account.1", "opened")).await.unwrap();
    manager.delete_event_store("bank").await.unwrap();
    let gone = |error: EventStoreError| assert!(matches!(error, EventStoreError::StoreNotFound { .. }), "{error:?}");
    gone(store.append(event("account.1", "closed")).await.unwrap_err());
    gone(store.last_sequence().await.unwrap_err());
    gone(store.evolve(&mut Seen::default(), "account").await.unwrap_err().source);
    let new = manager.create_event_store(EventStoreConfig::new("bank")).await.unwrap();
    gone(store.append(event("account.1", "closed")).await.unwrap_err());
    assert_eq!(new.last_sequence().await.unwrap(), 0);
}

#[fact]
pub async fn large_appends_are_taken_up_to_the_limits(db: Database, _: TestClock) {
    let store = store(&db).await;
    let large = |bytes: usize| NewEvent::raw("account.1", "opened", vec![7; bytes]);
    let too_large = store.append(large(1 << 20)).await.unwrap_err();
    let EventStoreError::Engine(error) = &too_large else { panic!("{too_large:?}") };
    assert!(matches!(error, TitoError::LimitExceeded { .. }), "{error:?}");
    // Others that wait at the same time are not hurt by one that is too large as a whole.
    let many: Vec<_> = (0..40).map(|_| large(1_000_000)).collect();
    let (refused, small) = futures::join!(store.append(many), store.append(event("account.2", "opened")));
    assert!(refused.is_err());
    assert_eq!(small.unwrap(), 1);
    assert_eq!(store.append((0..1500).map(|_| event("account.3", "noted")).collect::<Vec<_>>()).await.unwrap(), 1501);
}

#[fact]
pub async fn an_unknown_outcome_is_found_out(db: Database, _: TestClock) {
    let db = FaultEngine::new(db).database();
    let store = store(&db).await;
    let opened = |entity: &str| event(entity, "opened").expect_sequence(0);
    // It took effect: what it expected does not hold any more, and it is there all the same.
    db.faults().at(Call::Commit).unknown_after_effect();
    assert_eq!(store.append(opened("a.1")).await.unwrap(), 1);
    // It did not, and is appended.
    db.faults().at(Call::Commit).unknown_without_effect();
    assert_eq!(store.append([opened("a.2"), event("a.2", "closed")]).await.unwrap(), 3);
    // Others that share the transaction are accepted and refused as if nothing had happened.
    db.faults().at(Call::Commit).unknown_after_effect();
    let (one, other, refused) =
        futures::join!(store.append(opened("a.3")), store.append(opened("a.4")), store.append(opened("a.3")));
    assert_eq!((one.unwrap(), other.unwrap()), (4, 5));
    assert!(matches!(refused, Err(EventStoreError::SequenceConflict { actual: 4, .. })), "{refused:?}");
    assert_eq!(sequences(&store, Select::all()).await, [1, 2, 3, 4, 5]);
}

#[fact]
pub async fn an_outcome_that_stays_unknown_is_told_as_such(db: Database, _: TestClock) {
    let db = FaultEngine::new(db).database();
    let store = store(&db).await;
    db.faults().at(Call::Commit).unknown_after_effect();
    for later in 2..10 {
        db.faults().at(Call::BatchGet).nth(later).storage_error();
    }
    let opened = event("a.1", "opened").id("once").expect_sequence(0);
    let error = store.append(opened.clone()).await.unwrap_err();
    let EventStoreError::Engine(error) = &error else { panic!("{error:?}") };
    assert!(!error.is_not_committed(), "{error:?}");
    db.faults().clear();
    assert_eq!(store.append(opened).await.unwrap(), 1, "it is there, and is not appended again");
    assert_eq!(store.last_sequence().await.unwrap(), 1);
}

#[fact]
pub async fn appends_share_transactions_with_those_that_wait(db: Database, _: TestClock) {
    let db = FaultEngine::new(db).database();
    let store = store(&db).await;
    let gate = db.faults().at(Call::Commit).hold();
    let before = db.faults().count(Call::Commit);
    let first = tokio::spawn({
        let store = store.clone();
        async move { store.append(event("a.0", "x")).await.unwrap() }
    });
    gate.arrivals(1).await;
    let waiting = futures::future::join_all((1..=100).map(|number| store.append(event(&format!("a.{number}"), "x"))));
    let mut waiting = std::pin::pin!(waiting);
    assert!(waiting.as_mut().now_or_never().is_none());
    gate.open();
    assert_eq!(first.await.unwrap(), 1);
    let sequences: Vec<u64> = waiting.await.into_iter().map(Result::unwrap).collect();
    assert_eq!(sequences, (2..=101).collect::<Vec<_>>(), "in the order of the calls");
    assert_eq!(db.faults().count(Call::Commit) - before, 2);
}

#[fact]
pub async fn an_append_whose_future_is_dropped_blocks_nobody(db: Database, _: TestClock) {
    let store = store(&db).await;
    for number in 0..10 {
        // Dropped while it waits.
        assert!(store.append(event("a.1", "x").id(format!("{number}"))).now_or_never().is_none());
    }
    let last = store.append(event("a.1", "y")).await.unwrap();
    assert_eq!(last, 11, "they were called, and are appended all the same");
    assert_eq!(store.append(event("a.1", "x").id("3")).await.unwrap(), 4);
}
