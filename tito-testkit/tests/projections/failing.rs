//! Projectors that fail.

use std::time::Duration;

use tito_core::prelude::*;
use tito_eventstore::{EventStoreError, NewEvent};
use tito_testkit::TestClock;

use crate::support::{Customers, assert_folded, by_hand, harness, projected, rows};

pub async fn a_projector_that_fails_stops_before_the_event_and_goes_on_without_a_skip<E: TitoEngine>(
    db: E,
    clock: TestClock,
) {
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

pub async fn a_panic_and_a_taken_unique_value_are_told<E: TitoEngine>(db: E, _: TestClock) {
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

pub async fn a_panic_that_panics_when_it_is_dropped_is_a_failure_like_others<E: TitoEngine>(db: E, clock: TestClock) {
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

pub async fn catching_up_gets_a_repaired_projector_going_at_once<E: TitoEngine>(db: E, clock: TestClock) {
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
