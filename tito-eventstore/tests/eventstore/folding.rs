use std::error::Error;

use tito_core::prelude::*;
use tito_eventstore::{EventStoreError, Evolving, Select};
use tito_testkit::{Call, FaultEngine, TestClock, WithFaults};

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
    let EventStoreError::Evolver { sequence: 2, .. } = &error.source else { panic!("{error:?}") };
    assert_eq!(error.source.source().unwrap().to_string(), "it is poison");
    assert_eq!((error.last_sequence, &seen.0[..]), (1, &[1][..]));
    // What was selected tells where it began, when nothing was folded.
    let error = store.evolve(&mut seen, Select::all().after(1)).await.unwrap_err();
    assert_eq!(error.last_sequence, 1);
    assert_eq!(store.evolve(&mut seen, Select::all().after(2)).await.unwrap(), 3);
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

#[fact]
pub async fn several_models_are_folded_from_one_read(db: Database, _: TestClock) {
    let db = FaultEngine::new(db).database();
    let store = store(&db).await;
    let events =
        (0..900).map(|number| event(&format!("a.{}", number % 3), if number % 2 == 0 { "even" } else { "odd" }));
    store.append(events.collect::<Vec<_>>()).await.unwrap();
    let selections = [
        Select::all(),
        Select::filter("a.1"),
        Select::filter("*.*.odd").after(10).up_to(500),
        Select::filter("a.0").or("a.2.even"),
        Select::filter("b"),
    ];
    let mut expected = Vec::new();
    for select in &selections {
        let mut seen = Seen::default();
        store.evolve(&mut seen, select.clone()).await.unwrap();
        expected.push(seen);
    }
    db.faults().reset_counts();
    store.evolve(&mut Seen::default(), Select::all()).await.unwrap();
    let of_one = db.faults().count(Call::Scan);
    db.faults().reset_counts();
    let mut models = vec![Seen::default(); selections.len()];
    let evolving = models.iter_mut().zip(&selections).map(|(model, select)| Evolving::new(model, select.clone()));
    assert_eq!(store.evolve_all(evolving).await.unwrap(), 900);
    assert_eq!((models, db.faults().count(Call::Scan)), (expected, of_one));
    assert_eq!(store.evolve_all([]).await.unwrap(), 0);

    let (mut one, mut two) = (Seen::default(), Seen::default());
    let narrow = [Evolving::new(&mut one, Select::filter("a.1").up_to(5)), Evolving::new(&mut two, "a.2.odd")];
    store.evolve_all(narrow).await.unwrap();
    assert_eq!((one.0, two.0[..2].to_vec()), (vec![2, 5], vec![6, 12]));
}

#[fact]
pub async fn one_of_several_models_that_fails_stops_all(db: Database, _: TestClock) {
    let store = store(&db).await;
    store.append(["x", "x", "poison", "x"].map(|event_type| event("a.1", event_type))).await.unwrap();
    let (mut all, mut some) = (Seen::default(), Seen::default());
    let models = [Evolving::new(&mut some, "a.1.x"), Evolving::new(&mut all, "a.1")];
    let error = store.evolve_all(models).await.unwrap_err();
    assert!(matches!(error.source, EventStoreError::Evolver { sequence: 3, .. }), "{error:?}");
    assert_eq!((error.last_sequence, all.0, some.0), (2, vec![1, 2], vec![1, 2]));
    let wrong = store.evolve_all([Evolving::new(&mut Seen::default(), "a.b.c.d")]).await.unwrap_err();
    assert!(matches!(wrong.source, EventStoreError::SubjectTooManyTokens { .. }), "{wrong:?}");
}
