//! Indexes that no program has any more, and a reindexing that somebody makes step by step.

use std::future::Future;
use std::pin::pin;

use serde::{Deserialize, Serialize};
use tito_core::model::{Catalogue, ReindexPlace, ReindexReport};
use tito_core::prelude::*;
use tito_test_engines::{Call, FaultEngine, TestClock, WithFaults};

use crate::support::*;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, TitoModel)]
#[tito(table = "pet")]
struct Pet {
    id: String,
    #[tito(index(name = "by_name"))]
    name: String,
    #[tito(index(name = "by_age"))]
    age: u32,
}

/// Turns the clock whenever somebody waits for it.
async fn turning<T>(clock: &TestClock, call: impl Future<Output = T>) -> T {
    let mut call = pin!(call);
    loop {
        tokio::select! {
            biased;
            value = &mut call => return value,
            next = clock.waited_for() => clock.advance_to(next),
        }
    }
}

async fn insert(db: &Database, count: u32) {
    let pets: Vec<_> = (0..count)
        .map(|number| Pet { id: format!("p{number:04}"), name: format!("name {}", number % 7), age: number })
        .collect();
    insert_all(db, &pets).await;
}

async fn indexes(db: &Database) -> Vec<String> {
    let catalogue = Catalogue::read(&db.begin().await.unwrap(), "pet").await.unwrap().unwrap();
    catalogue.indexes.into_keys().collect()
}

#[fact]
pub async fn an_index_is_deleted_with_its_entries_and_nothing_else(db: Database, clock: TestClock) {
    insert(&db, 600).await;
    let tx = db.begin().await.unwrap();
    let by_name = stored(&tx, "index:pet:by_name:").await;
    tx.rollback().await;
    assert_eq!(turning(&clock, db.drop_index("pet", "by_age")).await.unwrap(), 600);
    let tx = db.begin().await.unwrap();
    assert_eq!(stored(&tx, "index:pet:by_age:").await, []);
    assert_eq!((stored(&tx, "index:pet:by_name:").await, stored(&tx, "data:pet:").await.len()), (by_name, 600));
    let error = db.model::<Pet>().query(Pet::BY_AGE).equals(17_u32).all(&tx).await.unwrap_err();
    assert!(matches!(error, TitoError::IndexNotBuilt { .. }), "{error:?}");
    tx.rollback().await;
    assert_eq!(indexes(&db).await, ["by_name"]);
    for (table, index) in [("pet", "by_age"), ("pets", "by_name")] {
        let error = turning(&clock, db.drop_index(table, index)).await.unwrap_err();
        assert!(matches!(error, TitoError::InvalidIndex { .. }), "{error:?}");
    }
    // It can be had again.
    turning(&clock, db.model::<Pet>().reindex("by_age").run()).await.unwrap();
    let tx = db.begin().await.unwrap();
    assert_eq!(db.model::<Pet>().query(Pet::BY_AGE).equals(17_u32).all(&tx).await.unwrap().len(), 1);
    tx.rollback().await;
}

#[fact]
pub async fn the_deletion_of_an_index_that_is_cut_off_anywhere_goes_on(db: Database, clock: TestClock) {
    let db = FaultEngine::new(db).database();
    for n in 1.. {
        insert(&db, 1_100).await;
        turning(&clock, db.migrate().model::<Pet>().run()).await.unwrap();
        let gate = db.faults().at(Call::Commit).nth(n).hold();
        let is_cut_off = tokio::select! {
            biased;
            () = gate.arrivals(1) => true,
            dropped = turning(&clock, db.drop_index("pet", "by_age")) => dropped.map(|_| false).unwrap(),
        };
        db.faults().clear();
        if is_cut_off {
            match turning(&clock, db.drop_index("pet", "by_age")).await {
                Ok(_) | Err(TitoError::InvalidIndex { .. }) => {}
                Err(error) => panic!("{n}: {error:?}"),
            }
        }
        assert_eq!(indexes(&db).await, ["by_name"], "{n}");
        assert_eq!(stored(&db.begin().await.unwrap(), "index:pet:by_age:").await, [], "{n}");
        turning(&clock, db.drop_table("pet")).await.unwrap();
        if !is_cut_off {
            assert!(n > 4, "only {n} commits");
            break;
        }
    }
}

#[fact]
pub async fn a_reindexing_is_made_step_by_step_and_noted_with_each(db: Database, clock: TestClock) {
    insert(&db, 25).await;
    for (key, _) in stored(&db.begin().await.unwrap(), "index:pet:by_age:").await {
        db.transaction(|tx| async move { tx.system_keys().delete(key).await }).await.unwrap();
    }
    let steps = db.model::<Pet>().reindex("by_age").batch(10).steps();
    let mut place = turning(&clock, steps.begin()).await.unwrap();
    let mut done = ReindexReport::default();
    let mut count = 0;
    loop {
        // One that is not committed is none.
        let tx = db.begin().await.unwrap();
        steps.step(&place, &tx).await.unwrap();
        tx.rollback().await;
        let tx = db.begin().await.unwrap();
        let (report, next) = steps.step(&place, &tx).await.unwrap();
        tx.put(b"app/place".to_vec(), serde_json::to_vec(&next).unwrap()).await.unwrap();
        tx.commit().await.unwrap();
        (done.rows, done.added, done.removed) =
            (done.rows + report.rows, done.added + report.added, done.removed + report.removed);
        count += 1;
        let noted = db.begin().await.unwrap().get(b"app/place").await.unwrap().unwrap();
        match serde_json::from_slice::<Option<ReindexPlace>>(&noted).unwrap() {
            Some(next) => place = next,
            None => break,
        }
    }
    steps.finish().await.unwrap();
    steps.finish().await.unwrap();
    assert_eq!((done.rows, done.added, done.removed), (25, 25, 0));
    // Three of rows and one that finds none, and as many of entries.
    assert_eq!(count, 8);
    let report = db.model::<Pet>().check().run().await.unwrap();
    assert_eq!((report.missing_entries, report.stale_entries), (0, 0));
}
