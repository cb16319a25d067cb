use std::error::Error;

use tito_core::prelude::*;
use tito_eventstore::{EventStoreError, Select};
use tito_testkit::TestClock;

use crate::support::*;

#[fact]
pub async fn a_model_is_folded_from_what_is_selected(db: Database, _: TestClock) {
    let store = store(&db).await;
    store.append((0..1000).map(|number| event(&format!("a.{}", number % 3), "x")).collect::<Vec<_>>()).await.unwrap();
    let mut seen = Seen::default();
    assert_eq!(store.evolve(&mut seen, "a.1").await.unwrap(), 998);
    assert_eq!(seen.0, (1..=1000).filter(|sequence| sequence % 3 == 2).collect::<Vec<u64>>());
    let mut seen = Seen::default();
    assert_eq!(store.evolve(&mut seen, Select::all().after(10).up_to(700)).await.unwrap(), 700);
    assert_eq!(seen.0, (11..=700).collect::<Vec<_>>());
    assert_eq!(store.evolve(&mut seen, Select::all().after(1000)).await.unwrap(), 1000, "where it began");
    assert_eq!(store.evolve(&mut Seen::default(), "b").await.unwrap(), 0);
}

#[fact]
pub async fn an_evolver_that_fails_keeps_what_it_has_folded(db: Database, _: TestClock) {
    let store = store(&db).await;
    store.append(["x", "poison", "x"].map(|event_type| event("a.1", event_type))).await.unwrap();
    let mut seen = Seen::default();
    let error = store.evolve(&mut seen, "a.1").await.unwrap_err();
    let EventStoreError::Evolver { sequence: 2, .. } = &error else { panic!("{error:?}") };
    assert_eq!(error.source().unwrap().to_string(), "it is poison");
    assert_eq!(seen.0, [1]);
}

#[fact]
pub async fn evolving_ends_while_writers_go_on(db: Database, _: TestClock) {
    let store = store(&db).await;
    store.append((0..500).map(|_| event("a.1", "x")).collect::<Vec<_>>()).await.unwrap();
    let writing = {
        let store = store.clone();
        async move {
            loop {
                store.append((0..100).map(|_| event("a.1", "x")).collect::<Vec<_>>()).await.unwrap();
            }
        }
    };
    let mut seen = Seen::default();
    tokio::select! {
        last = store.evolve(&mut seen, "a.1") => {
            let last = last.unwrap();
            assert!(last >= 500);
            assert_eq!(seen.0, (1..=last).collect::<Vec<_>>());
        }
        () = writing => {}
    }
}
