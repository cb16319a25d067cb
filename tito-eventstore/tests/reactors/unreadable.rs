//! Events that can't be read, or are gone.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tito_core::BoxError;
use tito_core::prelude::*;
use tito_eventstore::types::{Binary, ForeignType, Registry};
use tito_eventstore::{EventStoreConfig, Manager, NewEvent, ReactFrom, Retention};
use tito_testkit::TestClock;
use tito_worker::Outcome;
use tito_worker::prelude::*;

use crate::support::*;

#[fact]
pub async fn an_event_that_can_not_be_upcast_is_tried_again_while_other_entities_go_on(db: Database, clock: TestClock) {
    let old = bank(&db).await;
    let is_mended = Arc::new(AtomicBool::new(false));
    let asked = is_mended.clone();
    let upcast = move |data: &[u8]| match (data, asked.load(Ordering::SeqCst)) {
        (b"-", false) => Err(BoxError::from("nobody has opened it")),
        (data, _) => Ok(data.to_vec()),
    };
    let types = Registry::builder()
        .foreign(ForeignType::<Binary, Vec<u8>>::new("opened", b"ada".to_vec()).version(2))
        .upcast("opened", 1, upcast)
        .build()
        .unwrap();
    for number in 0..9 {
        let data = if number == 4 { "-" } else { "ada" };
        old.append(NewEvent::raw(format!("account.{}", number % 3), "opened", data)).await.unwrap();
    }
    let bank = Manager::builder(db.clone()).types(types).build().get_event_store("bank").await.unwrap();
    for name in ["mailer", "counter"] {
        is_mended.store(false, Ordering::SeqCst);
        let reactor = bank.react(name, "account", ReactFrom::First).await.unwrap();
        let notes = Notes::new();
        let mut harness = match name {
            "mailer" => notes.harness(&db, &clock, &reactor),
            _ => notes.counting(&db, &clock, &reactor),
        };
        harness.drain().await.unwrap();
        assert_eq!((notes.of("account.1"), notes.sequences().len()), (vec![2], 7));
        let waiting = TitoQueue::new(db.clone()).peek(&reactor.topic(), 10, None).await.unwrap();
        let first = waiting[0].event.as_ref().unwrap();
        assert_eq!((first.entity.as_str(), first.failed_attempts), ("account.1", 1));
        assert!(first.failures[0].error.contains("nobody has opened it"), "{}", first.failures[0].error);
        is_mended.store(true, Ordering::SeqCst);
        harness.advance(Duration::from_secs(60)).await.unwrap();
        assert_eq!(notes.of("account.1"), [2, 5, 8]);
        notes.assert_in_order(1..=9);
    }
}

#[fact]
pub async fn a_damaged_event_is_a_dead_letter_in_the_end_and_keeps_nobody_waiting(db: Database, clock: TestClock) {
    let bank = bank(&db).await;
    append_many(&bank, 9, 3).await;
    let is_event = |key: &[u8]| String::from_utf8_lossy(key).ends_with(":event:0000000000000005");
    let (key, value) = stored(&db, "log:").await.into_iter().find(|(key, _)| is_event(key)).unwrap();
    let put = |key: Vec<u8>, value: Vec<u8>| db.transaction(|tx| async move { tx.system_keys().put(key, value).await });
    put(key.clone(), b"nonsense".to_vec()).await.unwrap();
    let (reactor, notes) = (mailer(&bank).await, Notes::new());
    let mut harness = notes.harness(&db, &clock, &reactor);
    harness.drain().await.unwrap();
    notes.assert_in_order([1, 2, 3, 4, 6, 7, 8, 9]);
    for _ in 0..20 {
        harness.advance(Duration::from_secs(120)).await.unwrap();
    }
    assert_eq!(in_queue(&db).await, (0, 1));
    put(key, value).await.unwrap();
    TitoQueue::new(db.clone()).redrive_all("bank.mailer").await.unwrap();
    harness.drain().await.unwrap();
    assert_eq!((notes.sequences().last(), in_queue(&db).await), (Some(&5), (0, 0)));
}

#[fact]
pub async fn what_was_dropped_before_its_turn_is_a_dead_letter_that_says_so(db: Database, clock: TestClock) {
    let bank = bank(&db).await;
    append_many(&bank, 6, 2).await;
    let (reactor, notes) = (
        mailer(&bank).await,
        Notes::failing(|event, _| match event.sequence() {
            1 => Err("not yet".into()),
            _ => Ok(Outcome::Done),
        }),
    );
    let mut harness = notes.harness(&db, &clock, &reactor);
    harness.drain().await.unwrap();
    assert_eq!(in_queue(&db).await, (3, 0));
    let manager = Manager::new(db.clone());
    manager.update_event_store(EventStoreConfig::new("bank").retention(Retention::default().events(1))).await.unwrap();
    manager.sweep().await.unwrap();
    harness.advance(Duration::from_secs(120)).await.unwrap();
    assert_eq!(in_queue(&db).await, (0, 3));
    let letters = TitoQueue::new(db.clone()).dead_letters("bank.mailer", 10, None).await.unwrap();
    for letter in letters {
        let error = letter.event.unwrap().failures.pop().unwrap().error;
        assert!(error.ends_with("was dropped from its store"), "{error}");
    }
}

#[fact]
pub async fn an_open_event_that_can_not_be_read_waits_for_those_before_it(db: Database, clock: TestClock) {
    let old = bank(&db).await;
    for data in ["ada", "-", "ada"] {
        old.append(NewEvent::raw("account.1", "opened", data)).await.unwrap();
    }
    let is_mended = Arc::new(AtomicBool::new(false));
    let asked = is_mended.clone();
    let upcast = move |data: &[u8]| match (data, asked.load(Ordering::SeqCst)) {
        (b"-", false) => Err(BoxError::from("nobody has opened it")),
        (data, _) => Ok(data.to_vec()),
    };
    let types = Registry::builder()
        .foreign(ForeignType::<Binary, Vec<u8>>::new("opened", b"ada".to_vec()).version(2))
        .upcast("opened", 1, upcast)
        .build()
        .unwrap();
    let bank = Manager::builder(db.clone()).types(types).build().get_event_store("bank").await.unwrap();
    for name in ["mailer", "counter"] {
        is_mended.store(false, Ordering::SeqCst);
        let reactor = bank.react(name, "account", ReactFrom::First).await.unwrap();
        // As a process leaves it that dies while handlers have begun.
        let (key, value) =
            stored(&db, "log:").await.into_iter().find(|(key, _)| key.ends_with(name.as_bytes())).unwrap();
        let value = String::from_utf8(value).unwrap().replace(r#""sequence":0"#, r#""sequence":3,"open":[1,2,3]"#);
        db.transaction(|tx| {
            let (key, value) = (key.clone(), value.clone());
            async move { tx.system_keys().put(key, value.into_bytes()).await }
        })
        .await
        .unwrap();
        let notes = Notes::new();
        let mut harness = match name {
            "mailer" => notes.harness(&db, &clock, &reactor),
            _ => notes.counting(&db, &clock, &reactor),
        };
        harness.drain().await.unwrap();
        assert_eq!(notes.sequences(), [1], "{name}");
        is_mended.store(true, Ordering::SeqCst);
        harness.advance(Duration::from_secs(60)).await.unwrap();
        assert_eq!(notes.sequences(), [1, 2, 3], "{name}");
        notes.clear();
    }
}
