//! Indexes that are added, changed and removed from one release of a program to the next.

use std::future::Future;
use std::pin::pin;

use serde::{Deserialize, Serialize};
use tito_core::keys;
use tito_core::model::{Catalogue, IndexState, MigrationReport, TitoSchema};
use tito_core::prelude::*;
use tito_test_engines::{Call, FaultEngine, TestClock, WithFaults};

use crate::support::*;

/// Releases of one program: the same rows under changing indexes.
macro_rules! releases {
    ($($name:ident { $(#[$container:meta])* $(person: $person:meta;)? $(age: $age:meta;)? })+) => {$(
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, TitoModel)]
        #[tito(table = "person")]
        $(#[$container])*
        struct $name {
            id: String,
            $(#[$person])?
            name: String,
            $(#[$age])?
            age: u32,
        }

        impl Release for $name {
            fn numbered(number: u32) -> Self {
                Self { id: format!("p{number:04}"), name: format!("name {}", number % 7), age: number }
            }
        }
    )+};
}

trait Release: TitoSchema {
    fn numbered(number: u32) -> Self;
}

releases! {
    Plain {}
    Named { person: tito(index(name = "by_name")); }
    // The same, of a program that has read no catalogue yet.
    NamedElsewhere { person: tito(index(name = "by_name")); }
    NamedByAge { #[tito(index(name = "by_name", fields(name, age)))] }
    UniqueAge { age: tito(index(name = "by_age", unique)); }
    UniqueName { person: tito(index(name = "by_name", unique)); }
    NamedAndAge { person: tito(index(name = "by_name")); age: tito(index(name = "by_age")); }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, TitoModel)]
#[tito(table = "person")]
struct NamedAdults {
    id: String,
    #[tito(index(name = "by_name", when = self.age >= 18))]
    name: String,
    age: u32,
}

impl Release for NamedAdults {
    fn numbered(number: u32) -> Self {
        let Plain { id, name, age } = Plain::numbered(number);
        Self { id, name, age }
    }
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

async fn insert<R: Release>(db: &Database, clock: &TestClock, numbers: std::ops::Range<u32>) {
    turning(clock, insert_all(db, &numbers.map(R::numbered).collect::<Vec<_>>())).await;
}

async fn migrate<R: Release>(db: &Database, clock: &TestClock) -> Result<MigrationReport, TitoError> {
    turning(clock, db.migrate().model::<R>().batch(10).run()).await
}

/// The rows that a query by name finds.
async fn found_by_name<R: Release>(db: &Database, name: &'static str) -> Result<u64, TitoError> {
    let index = tito_core::model::Index::<R, (String,)>::new(name, false);
    db.model::<R>().query(index).count(&db.begin().await?).await
}

async fn catalogue(db: &Database) -> Catalogue {
    Catalogue::read(&db.begin().await.unwrap(), "person").await.unwrap().unwrap()
}

async fn states(db: &Database) -> Vec<(String, IndexState)> {
    catalogue(db).await.indexes.into_iter().map(|(name, index)| (name, index.state)).collect()
}

#[track_caller]
fn assert_not_built<T: std::fmt::Debug>(result: Result<T, TitoError>, index: &str) {
    let error = result.unwrap_err();
    let names_it =
        matches!(&error, TitoError::IndexNotBuilt { table, index: of, .. } if table == "person" && of == index);
    assert!(names_it && error.to_string().contains("migrate"), "{error}");
}

fn built(index: &str) -> MigrationReport {
    MigrationReport { built: vec![("person".to_string(), index.to_string())], ..MigrationReport::default() }
}

#[fact]
pub async fn an_index_that_was_added_answers_nothing_before_it_is_built(db: Database, clock: TestClock) {
    insert::<Plain>(&db, &clock, 0..25).await;
    assert_not_built(found_by_name::<Named>(&db, "by_name").await, "by_name");
    // Rows that are written by who knows it make no difference.
    insert::<Named>(&db, &clock, 25..30).await;
    assert_not_built(found_by_name::<Named>(&db, "by_name").await, "by_name");
    assert_eq!(migrate::<Named>(&db, &clock).await.unwrap(), built("by_name"));
    assert_eq!(found_by_name::<Named>(&db, "by_name").await.unwrap(), 30);
    assert_index_is_exact::<Named>(&db).await;
    // There is nothing left to do.
    assert_eq!(migrate::<Named>(&db, &clock).await.unwrap(), MigrationReport::default());
}

#[fact]
pub async fn the_indexes_of_a_table_without_a_catalogue_count_as_built(db: Database, clock: TestClock) {
    insert::<Named>(&db, &clock, 0..5).await;
    // As an earlier version of Tito has left it.
    db.transaction(|tx| async move { tx.system_keys().delete(keys::catalogue("person")).await }).await.unwrap();
    assert_eq!(found_by_name::<NamedElsewhere>(&db, "by_name").await.unwrap(), 5);
    assert_eq!(states(&db).await, [("by_name".to_string(), IndexState::Built)]);
    // From then on it is known what there is.
    assert_not_built(found_by_name::<NamedAndAge>(&db, "by_age").await, "by_age");
}

#[fact]
pub async fn an_index_that_was_changed_is_built_anew(db: Database, clock: TestClock) {
    insert::<Named>(&db, &clock, 0..30).await;
    assert_not_built(found_by_name::<NamedAdults>(&db, "by_name").await, "by_name");
    assert_eq!(migrate::<NamedAdults>(&db, &clock).await.unwrap(), built("by_name"));
    assert_eq!(found_by_name::<NamedAdults>(&db, "by_name").await.unwrap(), 12);
    assert_index_is_exact::<NamedAdults>(&db).await;
    // The release before has to build it again to go back.
    assert_not_built(found_by_name::<Named>(&db, "by_name").await, "by_name");
    assert_eq!(migrate::<NamedByAge>(&db, &clock).await.unwrap(), built("by_name"));
    assert_index_is_exact::<NamedByAge>(&db).await;
    let error = migrate::<UniqueName>(&db, &clock).await.unwrap_err();
    assert_eq!(error.violated_index(), Some(("person".to_string(), "by_name".to_string())), "{error}");
    assert_eq!(states(&db).await, [("by_name".to_string(), IndexState::Building)]);
    assert_eq!(migrate::<Named>(&db, &clock).await.unwrap(), built("by_name"));
    assert_index_is_exact::<Named>(&db).await;
}

#[fact]
pub async fn an_index_that_is_new_and_unique_takes_no_value_that_no_row_has(db: Database, clock: TestClock) {
    insert::<UniqueAge>(&db, &clock, 0..3).await;
    // A release without it deletes a row, whose value stays taken.
    let people = db.model::<Plain>();
    turning(&clock, db.transaction(|tx| async move { people.delete("p0001", &tx).await })).await.unwrap();
    assert_eq!(states(&db).await, [("by_age".to_string(), IndexState::Behind)]);
    migrate::<UniqueAge>(&db, &clock).await.unwrap();
    insert_all(&db, &[UniqueAge { id: "new".to_string(), ..UniqueAge::numbered(1) }]).await;
    assert_index_is_exact::<UniqueAge>(&db).await;
}

#[fact]
pub async fn an_index_that_was_removed_is_deleted(db: Database, clock: TestClock) {
    insert::<NamedAndAge>(&db, &clock, 0..1_100).await;
    let report = migrate::<Named>(&db, &clock).await.unwrap();
    assert_eq!((report.built, report.dropped), (vec![], vec![("person".to_string(), "by_age".to_string())]));
    assert_index_is_exact::<Named>(&db).await;
    assert_eq!(states(&db).await, [("by_name".to_string(), IndexState::Built)]);
    assert_not_built(found_by_name::<NamedAndAge>(&db, "by_age").await, "by_age");
}

#[fact]
pub async fn a_program_that_does_not_know_an_index_marks_it_as_behind(db: Database, clock: TestClock) {
    insert::<Named>(&db, &clock, 0..10).await;
    assert_eq!(found_by_name::<Named>(&db, "by_name").await.unwrap(), 10);
    insert::<Plain>(&db, &clock, 10..20).await;
    assert_eq!(states(&db).await, [("by_name".to_string(), IndexState::Behind)]);
    assert_not_built(found_by_name::<Named>(&db, "by_name").await, "by_name");
    // So does one that defines it otherwise.
    migrate::<Named>(&db, &clock).await.unwrap();
    assert_eq!(found_by_name::<Named>(&db, "by_name").await.unwrap(), 20);
    insert::<NamedAdults>(&db, &clock, 20..30).await;
    assert_not_built(found_by_name::<Named>(&db, "by_name").await, "by_name");
    migrate::<Named>(&db, &clock).await.unwrap();
    assert_eq!(found_by_name::<Named>(&db, "by_name").await.unwrap(), 30);
    assert_index_is_exact::<Named>(&db).await;
}

#[fact]
pub async fn a_migration_beside_writers_misses_nothing(db: Database, clock: TestClock) {
    insert::<Plain>(&db, &clock, 0..40).await;
    let writing = async {
        for number in 0..40 {
            let (people, row) = (db.model::<Named>(), Named { age: 99, ..Named::numbered(number) });
            let renamed = Named { name: format!("other {number}"), ..row };
            let write = |tx: tito_core::Transaction| async move {
                people.update(&renamed, &tx).await?;
                people.upsert(&Named::numbered(100 + number), &tx).await
            };
            // The clock is turned far ahead now and then.
            while let Err(error) = db.transaction(write.clone()).await {
                assert!(matches!(error, TitoError::TransactionTooOld { .. }), "{error}");
            }
        }
    };
    let (report, ()) =
        turning(&clock, async { tokio::join!(db.migrate().model::<Named>().batch(3).run(), writing) }).await;
    assert_eq!(report.unwrap(), built("by_name"));
    assert_index_is_exact::<Named>(&db).await;
    assert_eq!(found_by_name::<Named>(&db, "by_name").await.unwrap(), 80);
}

#[fact]
pub async fn a_migration_beside_the_release_before_says_that_it_was_in_vain(db: Database, clock: TestClock) {
    insert::<Plain>(&db, &clock, 0..30).await;
    let (other, mut rounds) = (db.clone(), 0);
    let clock_of_others = clock.clone();
    let (told, mut telling) = tokio::sync::mpsc::unbounded_channel();
    let migration = db.migrate().model::<Named>().batch(5).on_progress(move |_| told.send(()).unwrap_or_default());
    let writing = async {
        // Once, while it is under way.
        while telling.recv().await.is_some() {
            rounds += 1;
            if rounds == 1 {
                insert::<Plain>(&other, &clock_of_others, 30..31).await;
            }
        }
    };
    let (outcome, ()) = turning(&clock, async { tokio::join!(migration.run(), writing) }).await;
    if outcome.is_err() {
        assert_not_built(outcome, "by_name");
        assert_not_built(found_by_name::<Named>(&db, "by_name").await, "by_name");
    }
    migrate::<Named>(&db, &clock).await.unwrap();
    assert_index_is_exact::<Named>(&db).await;
    assert_eq!(found_by_name::<Named>(&db, "by_name").await.unwrap(), 31);
}

#[fact]
pub async fn two_models_that_define_an_index_differently_are_refused(db: Database, clock: TestClock) {
    let refused = turning(&clock, db.migrate().model::<Named>().model::<NamedAdults>().run()).await.unwrap_err();
    assert!(matches!(&refused, TitoError::InvalidIndex { index, .. } if index == "by_name"), "{refused}");
    // Of those that agree, each brings what it knows.
    insert::<Plain>(&db, &clock, 0..5).await;
    let report = turning(&clock, db.migrate().model::<Named>().model::<NamedAndAge>().run()).await.unwrap();
    assert_eq!(report.built.len(), 2);
    assert_index_is_exact::<NamedAndAge>(&db).await;
}

#[fact]
pub async fn a_table_is_dropped_with_all_that_it_has(db: Database, clock: TestClock) {
    insert::<NamedAndAge>(&db, &clock, 0..1_100).await;
    insert_all(&db, &[user("ada")]).await;
    assert_eq!(turning(&clock, db.drop_table("person")).await.unwrap(), 1_100);
    let tx = db.begin().await.unwrap();
    for prefix in ["data:person:", "index:person:", "catalogue:person"] {
        assert_eq!(stored(&tx, prefix).await, [], "{prefix}");
    }
    assert_eq!(db.model::<User>().rows().count(&tx).await.unwrap(), 1);
    tx.rollback().await;
    drop(tx);
    // Neither what is half dropped takes rows, nor is it in the way of another call.
    let dropping = br#"{"dropping":true,"of a later version":1}"#.to_vec();
    db.transaction(|tx| async move { tx.system_keys().put(keys::catalogue("person"), dropping).await }).await.unwrap();
    let people = db.model::<NamedElsewhere>();
    let refused = db.transaction(|tx| async move { people.insert(&NamedElsewhere::numbered(1), &tx).await }).await;
    assert!(matches!(&refused, Err(TitoError::TableDropped { table }) if table == "person"), "{refused:?}");
    turning(&clock, db.drop_table("person")).await.unwrap();
    insert::<UniqueAge>(&db, &clock, 0..5).await;
    assert_eq!(db.model::<UniqueAge>().rows().count(&db.begin().await.unwrap()).await.unwrap(), 5);
}

#[fact]
pub async fn what_a_later_version_has_stored_in_a_catalogue_survives(db: Database, clock: TestClock) {
    insert::<Plain>(&db, &clock, 0..5).await;
    let text = r#"{"indexes":{"by_age":{"fingerprint":"00","state":"behind","new":[0.10]}},"newer":{"a": null}}"#;
    db.transaction(|tx| async move { tx.system_keys().put(keys::catalogue("person"), text.into()).await })
        .await
        .unwrap();
    turning(&clock, db.model::<NamedElsewhere>().reindex("by_name").run()).await.unwrap();
    let stored = db.begin().await.unwrap().get(&keys::catalogue("person")).await.unwrap().unwrap();
    let stored = String::from_utf8(stored).unwrap();
    assert!(stored.contains(r#""new":[0.10]"#) && stored.ends_with(r#""newer":{"a": null}}"#), "{stored}");
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, TitoModel)]
#[tito(table = "zebra")]
struct Zebra {
    id: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, TitoModel)]
#[tito(table = "zebra")]
struct IndexedZebra {
    #[tito(index(name = "by_id"))]
    id: String,
}

#[fact]
pub async fn a_damaged_catalogue_is_in_the_way_of_its_own_table_only(db: Database, clock: TestClock) {
    insert::<Plain>(&db, &clock, 0..5).await;
    insert_all(&db, &[Zebra { id: "a".to_string() }]).await;
    let damaged = keys::catalogue("person");
    let (key, sound) = (damaged.clone(), db.begin().await.unwrap().get(&damaged).await.unwrap().unwrap());
    db.transaction(|tx| async move { tx.system_keys().put(key, b"nonsense".to_vec()).await }).await.unwrap();
    clock.advance(std::time::Duration::from_secs(10));
    let assert_named = |error: TitoError| {
        assert!(matches!(&error, TitoError::Malformed { key, .. } if key.as_bytes() == damaged), "{error:?}");
    };
    let people = db.model::<Named>();
    let refused = db.transaction(|tx| async move { people.insert(&Named::numbered(17), &tx).await }).await;
    assert_named(refused.unwrap_err());
    let migration = db.migrate().model::<Named>().model::<IndexedZebra>().run();
    assert_named(turning(&clock, migration).await.unwrap_err());
    let found = tito_core::model::Index::<IndexedZebra, (String,)>::new("by_id", false);
    assert_eq!(db.model::<IndexedZebra>().query(found).count(&db.begin().await.unwrap()).await.unwrap(), 1);

    let key = damaged.clone();
    db.transaction(|tx| async move { tx.system_keys().put(key, sound).await }).await.unwrap();
    assert_eq!(migrate::<Named>(&db, &clock).await.unwrap(), built("by_name"));
}

/// Runs a call whose process dies before its n-th commit, or which loses the answer of it. Returns whether it came that far.
async fn interrupted<T>(
    db: &Database,
    clock: &TestClock,
    (loses_answer, n): (bool, u64),
    call: impl Future<Output = Result<T, TitoError>>,
) -> bool {
    let commit = db.faults().at(Call::Commit).nth(n);
    let is_interrupted = if loses_answer {
        commit.unknown_after_effect();
        match turning(clock, call).await {
            Ok(_) => false,
            Err(TitoError::CommitUnknown { .. }) => true,
            Err(error) => panic!("{error}"),
        }
    } else {
        let gate = commit.hold();
        tokio::select! {
            biased;
            () = gate.arrivals(1) => true,
            result = turning(clock, call) => {
                result.map(drop).unwrap();
                false
            }
        }
    };
    db.faults().clear();
    is_interrupted
}

#[fact]
pub async fn a_migration_that_is_cut_off_anywhere_goes_on(db: Database, clock: TestClock) {
    let db = FaultEngine::new(db).database();
    for loses_answer in [false, true] {
        for n in 1.. {
            insert::<NamedAndAge>(&db, &clock, 0..13).await;
            insert::<Plain>(&db, &clock, 13..20).await;
            let migration = || db.migrate().model::<NamedByAge>().batch(5).run();
            let is_interrupted = interrupted(&db, &clock, (loses_answer, n), migration()).await;
            // Whatever has become of it, nobody is told less than there is.
            match found_by_name::<NamedByAge>(&db, "by_name").await {
                Ok(found) => assert_eq!(found, 20),
                Err(error) => assert!(matches!(error, TitoError::IndexNotBuilt { .. }), "{error}"),
            }
            turning(&clock, migration()).await.unwrap();
            assert_index_is_exact::<NamedByAge>(&db).await;
            assert_eq!(states(&db).await, [("by_name".to_string(), IndexState::Built)]);
            turning(&clock, db.drop_table("person")).await.unwrap();
            if !is_interrupted {
                assert!(n > 10, "only {n} commits");
                break;
            }
        }
    }
}

#[fact]
pub async fn the_dropping_of_a_table_that_is_cut_off_anywhere_goes_on(db: Database, clock: TestClock) {
    let db = FaultEngine::new(db).database();
    for loses_answer in [false, true] {
        for n in 1.. {
            insert::<NamedAndAge>(&db, &clock, 0..600).await;
            let is_interrupted = interrupted(&db, &clock, (loses_answer, n), db.drop_table("person")).await;
            turning(&clock, db.drop_table("person")).await.unwrap();
            assert_eq!(stored(&db.begin().await.unwrap(), "").await, []);
            if !is_interrupted {
                break;
            }
        }
    }
}
