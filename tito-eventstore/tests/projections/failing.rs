//! Projectors that fail.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tito_core::BoxError;
use tito_core::prelude::*;
use tito_eventstore::types::{Binary, ForeignType, Registry};
use tito_eventstore::{EventStore, EventStoreError, Manager, NewEvent, Projection, Select};
use tito_testkit::TestClock;

use crate::support::{Accounts, AccountsOf, Customers, assert_folded, by_hand, harness, projected, rows, stored};

#[fact]
pub async fn a_projector_that_fails_stops_before_the_event_and_goes_on_without_a_skip(db: Database, clock: TestClock) {
    let (bank, projection, controls) = projected(&db).await;
    let mut customers = Customers::new();
    customers.append(&bank, 100).await;
    controls.fail(Some((77, "the ledger is closed")));
    let mut harness = harness(&db, &clock, &projection);
    for _ in 0..20 {
        harness.advance(Duration::from_secs(120)).await.unwrap();
        customers.append(&bank, 10).await;
        let info = bank.projection("accounts").await.unwrap();
        assert_eq!(info.checkpoint, 76);
        let failure = info.failure.unwrap();
        assert_eq!((failure.sequence, failure.error.as_str()), (77, "the ledger is closed"));
        assert_eq!(rows(&bank).await, by_hand(&bank, 76, 0).await);
    }
    controls.fail(None);
    harness.advance(Duration::from_secs(120)).await.unwrap();
    assert_folded(&bank, 0).await;
}

#[fact]
pub async fn a_panic_and_a_taken_unique_value_are_told(db: Database, _: TestClock) {
    let (bank, projection, controls) = projected(&db).await;
    for account in 1..=3 {
        bank.append(NewEvent::raw(format!("account.{account}"), "opened", format!("owner-{account}"))).await.unwrap();
    }
    controls.fail(Some((3, "panic")));
    let error = projection.catch_up().await.unwrap_err();
    assert!(matches!(&error, EventStoreError::Projector { sequence: 3, .. }), "{error}");
    let failure = bank.projection("accounts").await.unwrap().failure.unwrap();
    assert_eq!(failure.error, "the projector panicked: out of order");
    controls.fail(None);

    bank.append([
        NewEvent::raw("account.4", "opened", "owner-4"),
        NewEvent::raw("account.5", "opened", "owner-2"),
        NewEvent::raw("account.6", "opened", "owner-6"),
    ])
    .await
    .unwrap();
    let error = projection.catch_up().await.unwrap_err();
    let EventStoreError::Projector { sequence: 5, source, .. } = error else { panic!("{error}") };
    let violated = source.downcast_ref::<TitoError>().unwrap().violated_index();
    assert_eq!(violated, Some(("account".to_string(), "by_owner".to_string())));
    assert_eq!(bank.projection("accounts").await.unwrap().checkpoint, 4);
}

#[fact]
pub async fn a_panic_that_panics_when_it_is_dropped_is_a_failure_like_others(db: Database, clock: TestClock) {
    let (bank, projection, controls) = projected(&db).await;
    let mut customers = Customers::new();
    customers.append(&bank, 20).await;
    controls.fail(Some((10, "bomb")));
    let error = projection.catch_up().await.unwrap_err();
    assert!(matches!(&error, EventStoreError::Projector { sequence: 10, .. }), "{error}");
    let mut harness = harness(&db, &clock, &projection);
    for _ in 0..40 {
        harness.advance(Duration::from_secs(120)).await.unwrap();
        customers.append(&bank, 1).await;
    }
    let failure = bank.projection("accounts").await.unwrap().failure.unwrap();
    assert_eq!((failure.sequence, failure.error.as_str()), (10, "the projector panicked: no message"));
    controls.fail(None);
    harness.advance(Duration::from_secs(120)).await.unwrap();
    assert_folded(&bank, 0).await;
}

#[fact]
pub async fn catching_up_gets_a_repaired_projector_going_at_once(db: Database, clock: TestClock) {
    let (bank, projection, controls) = projected(&db).await;
    let mut customers = Customers::new();
    customers.append(&bank, 20).await;
    controls.fail(Some((10, "not yet")));
    let mut harness = harness(&db, &clock, &projection);
    harness.drain().await.unwrap();
    controls.fail(None);
    projection.catch_up().await.unwrap();
    assert_folded(&bank, 0).await;
    // What waited for another attempt finds nothing to do.
    harness.advance(Duration::from_secs(120)).await.unwrap();
    assert_folded(&bank, 0).await;
}

/// The bank as a later program has it, in which accounts are opened by events of version 2. What was opened for nobody
/// can't be brought to it until it is mended. And the projection of it.
async fn later(db: &Database, is_mended: &Arc<AtomicBool>) -> (EventStore, AccountsOf) {
    let asked = is_mended.clone();
    let upcast = move |owner: &[u8]| match (owner, asked.load(Ordering::SeqCst)) {
        (b"-", false) => Err(BoxError::from("nobody has opened it")),
        (b"-", true) => Ok(b"nobody".to_vec()),
        (owner, _) => Ok(owner.to_vec()),
    };
    let types = Registry::builder()
        .foreign(ForeignType::<Binary, Vec<u8>>::new("opened", b"ada".to_vec()).version(2))
        .upcast("opened", 1, upcast)
        .build()
        .unwrap();
    let bank = Manager::builder(db.clone()).types(types).build().get_event_store("bank").await.unwrap();
    let projection = Projection::new(&bank, Accounts::new(&bank, Select::all())).await.unwrap();
    (bank, projection)
}

fn opened(numbers: std::ops::RangeInclusive<u64>, nobody: &[u64]) -> Vec<NewEvent> {
    let owner = |number| if nobody.contains(&number) { "-".to_string() } else { format!("owner-{number}") };
    numbers.map(|number| NewEvent::raw(format!("account.{number}"), "opened", owner(number))).collect()
}

#[fact]
pub async fn an_event_that_can_not_be_upcast_stops_a_projection_before_it_and_is_named(db: Database, clock: TestClock) {
    let (old, _, _) = projected(&db).await;
    let is_mended = Arc::new(AtomicBool::new(false));
    let (bank, projection) = later(&db, &is_mended).await;
    old.append(opened(1..=14, &[11, 12])).await.unwrap();
    let mut harness = harness(&db, &clock, &projection);
    for _ in 0..3 {
        harness.advance(Duration::from_secs(120)).await.unwrap();
        let info = bank.projection("accounts").await.unwrap();
        let failure = info.failure.unwrap();
        assert_eq!((info.checkpoint, failure.sequence), (10, 11));
        for part in ["event 11", "\"opened\" of \"account.11\"", "upcasting from version 1: nobody has opened it"] {
            assert!(failure.error.contains(part), "{}", failure.error);
        }
        assert_eq!(rows(&bank).await.len(), 10);
    }
    let error = projection.catch_up().await.unwrap_err();
    assert!(matches!(error, EventStoreError::Decode { sequence: 11, .. }), "{error:?}");
    is_mended.store(true, Ordering::SeqCst);
    old.append(NewEvent::raw("account.11", "closed", "data")).await.unwrap();
    projection.catch_up().await.unwrap_err();
    // The owner's name is unique, so the second of them is the projector's fault.
    let failure = bank.projection("accounts").await.unwrap().failure.unwrap();
    assert_eq!(failure.sequence, 12);
}

#[fact]
pub async fn a_damaged_event_stops_a_projection_before_it_until_it_is_repaired(db: Database, clock: TestClock) {
    for at in [1, 7, 14] {
        let (bank, projection, _) = projected(&db).await;
        bank.append(opened(1..=14, &[])).await.unwrap();
        let is_event = |key: &[u8]| String::from_utf8_lossy(key).ends_with(&format!(":event:{at:016}"));
        let (key, value) = stored(&db, "log:").await.into_iter().find(|(key, _)| is_event(key)).unwrap();
        let put =
            |key: Vec<u8>, value: Vec<u8>| db.transaction(|tx| async move { tx.system_keys().put(key, value).await });
        put(key.clone(), b"nonsense".to_vec()).await.unwrap();
        let mut harness = harness(&db, &clock, &projection);
        harness.advance(Duration::from_secs(120)).await.unwrap();
        let info = bank.projection("accounts").await.unwrap();
        let failure = info.failure.unwrap();
        assert_eq!((info.checkpoint, failure.sequence), (at - 1, at));
        assert!(failure.error.contains(&*String::from_utf8_lossy(&key)), "{}", failure.error);
        assert_eq!(rows(&bank).await.len() as u64, at - 1);
        put(key, value).await.unwrap();
        harness.advance(Duration::from_secs(120)).await.unwrap();
        assert_folded(&bank, 0).await;
        drop(harness);
        let manager = Manager::new(db.clone());
        manager.delete_event_store("bank").await.unwrap();
        manager.sweep().await.unwrap();
    }
}

#[fact]
pub async fn a_rebuild_stops_before_an_event_that_can_not_be_read_while_the_old_rows_serve(db: Database, _: TestClock) {
    let (old, folded, _) = projected(&db).await;
    old.append(opened(1..=14, &[11])).await.unwrap();
    folded.catch_up().await.unwrap();
    let is_mended = Arc::new(AtomicBool::new(false));
    let (bank, projection) = later(&db, &is_mended).await;
    bank.rebuild_projection("accounts").await.unwrap();
    let error = projection.catch_up().await.unwrap_err();
    assert_eq!(error.sequence(), Some(11), "{error:?}");
    let info = bank.projection("accounts").await.unwrap();
    assert_eq!((info.checkpoint, info.failure), (14, None));
    let rebuild = info.rebuild.unwrap();
    assert_eq!((rebuild.checkpoint, rebuild.failure.unwrap().sequence), (10, 11));
    assert_eq!(rows(&bank).await.len(), 14);
    is_mended.store(true, Ordering::SeqCst);
    projection.catch_up().await.unwrap();
    assert_eq!(bank.projection("accounts").await.unwrap().rebuild, None);
}
