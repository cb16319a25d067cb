//! Events that can't be read: what is before them comes first, and the error says which they are.

use futures::StreamExt;
use tito_core::prelude::*;
use tito_eventstore::{EventStoreConfig, EventStoreError, Manager, Retention, Select};
use tito_testkit::TestClock;

use crate::support::*;

/// How an event is made unreadable, and the error that then tells of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    Upcaster,
    Damage,
}

const FAULTS: [Fault; 2] = [Fault::Upcaster, Fault::Damage];

/// At the beginning, in the middle and at the end of pages, which have 64 events first and then 256; several.
const PLACES: [&[u64]; 7] = [&[1], &[11], &[14], &[10, 11, 12], &[64], &[65, 66], &[300, 320]];

async fn faulty(db: &Database, fault: Fault, at: &[u64]) -> Counting {
    let counting = Counting::new(db).await;
    counting
        .append(at.last().map_or(14, |last| (*last).max(14)), if fault == Fault::Upcaster { at } else { &[] })
        .await;
    if fault == Fault::Damage {
        for sequence in at {
            damage(db, *sequence).await;
        }
    }
    counting
}

/// The error names the event.
fn assert_names(error: &EventStoreError, fault: Fault, sequence: u64, knows_entity: bool) {
    assert_eq!(error.sequence(), Some(sequence), "{error:?}");
    let entity = Some("a.1".to_string()).filter(|_| knows_entity);
    assert_eq!(error.entity(), entity, "{error:?}");
    match (fault, error) {
        (Fault::Upcaster, EventStoreError::Decode { version: 1, .. }) => {}
        (Fault::Damage, EventStoreError::Engine(TitoError::Malformed { .. })) => {}
        _ => panic!("{fault:?}: {error:?}"),
    }
    assert!(error.to_string().contains(&sequence.to_string()), "{error}");
}

#[fact]
pub async fn a_stream_yields_what_is_before_an_event_that_can_not_be_read(db: Database, _: TestClock) {
    for (fault, at) in FAULTS.into_iter().flat_map(|fault| PLACES.map(|at| (fault, at))) {
        let counting = faulty(&db, fault, at).await;
        let selects = [Select::all(), "a.1".into(), "a".into(), Select::filter("a.1").or("a.2")];
        for (number, select) in selects.into_iter().enumerate() {
            let knows_entity = fault == Fault::Upcaster || number % 2 == 1;
            let mut read = Vec::new();
            let mut after = 0;
            for bad in at {
                let mut events = counting.store.events(select.clone().after(after));
                let error = loop {
                    match events.next().await.unwrap() {
                        Ok(event) => read.push(event.sequence()),
                        Err(error) => break error,
                    }
                };
                assert_names(&error, fault, *bad, knows_entity);
                assert!(events.next().await.is_none(), "it has ended");
                assert_eq!(read.last().copied().unwrap_or(0), read.len() as u64, "before {bad}: {read:?}");
                assert_eq!(read.len() as u64, bad - 1);
                // Whoever reads on has to say so.
                read.push(*bad);
                after = *bad;
            }
        }
        counting.delete().await;
    }
}

#[fact]
pub async fn a_tail_yields_what_is_before_an_event_that_can_not_be_read(db: Database, _: TestClock) {
    for fault in FAULTS {
        let counting = faulty(&db, fault, &[11]).await;
        let mut tail = counting.store.tail(Select::all());
        for sequence in 1..=10 {
            assert_eq!(tail.next().await.unwrap().unwrap().sequence(), sequence);
        }
        assert_names(&tail.next().await.unwrap().unwrap_err(), fault, 11, fault == Fault::Upcaster);
        assert!(tail.next().await.is_none());
        counting.delete().await;
    }
}

#[fact]
pub async fn a_model_is_folded_up_to_an_event_that_can_not_be_read(db: Database, _: TestClock) {
    for (fault, at) in FAULTS.into_iter().flat_map(|fault| PLACES.map(|at| (fault, at))) {
        let counting = faulty(&db, fault, at).await;
        for select in [Select::all(), "a.1".into()] {
            let mut seen = Seen::default();
            let error = counting.store.evolve(&mut seen, select).await.unwrap_err();
            assert_eq!((error.source.sequence(), error.last_sequence), (Some(at[0]), at[0] - 1), "{error:?}");
            assert_eq!(seen.0, (1..at[0]).collect::<Vec<_>>(), "{fault:?} at {at:?}");
        }
        counting.delete().await;
    }
}

#[fact]
pub async fn one_event_that_can_not_be_read_is_told_by_itself(db: Database, _: TestClock) {
    for fault in FAULTS {
        let counting = faulty(&db, fault, &[11]).await;
        let error = counting.store.event(11).await.unwrap_err();
        assert_names(&error, fault, 11, fault == Fault::Upcaster);
        assert_eq!(counting.store.event(12).await.unwrap().unwrap().sequence(), 12);
        counting.delete().await;
    }
}

#[fact]
pub async fn an_event_that_is_not_selected_need_not_be_upcast(db: Database, _: TestClock) {
    let counting = faulty(&db, Fault::Upcaster, &[11]).await;
    counting.old.append(event("b.1", "x")).await.unwrap();
    assert_eq!(sequences(&counting.store, "b").await, [15]);
}

/// The entity is told where the bytes before the damage tell it.
#[fact]
pub async fn the_entity_of_an_event_that_is_damaged_behind_it_is_told(db: Database, _: TestClock) {
    let counting = faulty(&db, Fault::Damage, &[]).await;
    for key in keys_of_event(&db, 11).await {
        db.transaction(|tx| async move {
            let mut value = tx.get(&key).await?.unwrap_or_default();
            // How many texts there are beside the data, which are not there: the number is right before the data.
            let at = value.len() - 3;
            value[at] = 0x7f;
            tx.system_keys().put(key, value).await
        })
        .await
        .unwrap();
    }
    assert_names(&counting.store.event(11).await.unwrap_err(), Fault::Damage, 11, true);
}

#[fact]
pub async fn what_is_before_a_damaged_event_is_dropped(db: Database, _: TestClock) {
    let counting = faulty(&db, Fault::Damage, &[11]).await;
    let manager = Manager::new(db);
    manager.update_event_store(EventStoreConfig::new("bank").retention(Retention::default().events(1))).await.unwrap();
    let error = manager.sweep().await.unwrap_err();
    assert_eq!(error.sequence(), Some(11), "{error:?}");
    assert_eq!(counting.store.info().await.unwrap().first_sequence, 11);
}

#[fact]
pub async fn what_is_before_a_key_that_is_none_of_an_event_is_yielded(db: Database, _: TestClock) {
    let counting = faulty(&db, Fault::Damage, &[]).await;
    for key in keys_of_event(&db, 10).await {
        let foreign = [&key[..], b"x"].concat();
        db.transaction(|tx| async move { tx.system_keys().put(foreign, b"nonsense".to_vec()).await }).await.unwrap();
    }
    for select in [Select::all(), "a.1".into()] {
        let mut seen = Seen::default();
        let error = counting.store.evolve(&mut seen, select).await.unwrap_err();
        assert!(error.source.to_string().contains(":0000000000000010x"), "{error}");
        assert_eq!((error.source.sequence(), error.last_sequence, seen.0.len()), (None, 10, 10));
    }
}
