//! Rebuilding indexes.

use std::borrow::Cow;
use std::sync::{Arc, Mutex};

use serde::{Deserialize, Serialize};
use tito_core::keys::{self, IndexField};
use tito_core::model::{Change, IndexDefinition, IndexEntry, ReindexPhase, ReindexReport, TitoSchema};
use tito_core::prelude::*;

use crate::support::*;

/// The same rows under changing definitions of indexes.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(transparent)]
struct Version<const V: usize>(User);

/// No index.
const NONE: usize = 0;
/// An index on the name.
const BY_NAME: usize = 1;
/// The same, of active users only.
const BY_NAME_OF_ACTIVE: usize = 2;
/// The same, unique.
const UNIQUE: usize = 3;

impl<const V: usize> TitoSchema for Version<V> {
    fn table() -> Cow<'static, str> {
        User::table()
    }
    fn id(&self) -> String {
        self.0.id()
    }
    fn index_definitions() -> Vec<IndexDefinition> {
        let definition = IndexDefinition {
            name: Cow::Borrowed("by_name"),
            unique: V == UNIQUE,
            covers: Cow::Borrowed(if V == BY_NAME_OF_ACTIVE { "name when active" } else { "name" }),
        };
        if V == NONE { Vec::new() } else { vec![definition] }
    }
    fn index_entries(&self) -> tito_core::Result<Vec<IndexEntry>> {
        let Some(definition) = Self::index_definitions().pop() else { return Ok(Vec::new()) };
        if V == BY_NAME_OF_ACTIVE && !self.0.active {
            return Ok(Vec::new());
        }
        IndexEntry::combine("user", definition, &[self.0.name.encodings()])
    }
    fn events(_: &Change<'_, Self>) -> Vec<TitoEventConfig> {
        Vec::new()
    }
}

fn numbered<const V: usize>(number: usize) -> Version<V> {
    Version(User { name: format!("name {number}"), active: number.is_multiple_of(3), ..user(&format!("u{number:04}")) })
}

async fn reindexed<const V: usize>(db: &Database) -> ReindexReport {
    let report = db.model::<Version<V>>().reindex("by_name").batch(10).run().await.unwrap();
    assert_index_is_exact::<Version<V>>(db).await;
    report
}

#[fact]
pub async fn an_added_index_is_filled(db: Database) {
    insert_all(&db, &(0..25).map(numbered::<NONE>).collect::<Vec<_>>()).await;
    assert_eq!(reindexed::<BY_NAME>(&db).await, ReindexReport { rows: 25, added: 25, removed: 0, damaged: 0 });
    assert_eq!(reindexed::<BY_NAME>(&db).await, ReindexReport { rows: 25, added: 0, removed: 0, damaged: 0 });
}

#[fact]
pub async fn a_changed_condition_adds_and_removes_entries(db: Database) {
    insert_all(&db, &(0..30).map(numbered::<BY_NAME>).collect::<Vec<_>>()).await;
    assert_eq!(
        reindexed::<BY_NAME_OF_ACTIVE>(&db).await,
        ReindexReport { rows: 30, added: 0, removed: 20, damaged: 0 }
    );
    assert_eq!(reindexed::<BY_NAME>(&db).await, ReindexReport { rows: 30, added: 20, removed: 0, damaged: 0 });
    // Entries of a unique index have keys of another form.
    assert_eq!(reindexed::<UNIQUE>(&db).await, ReindexReport { rows: 30, added: 30, removed: 30, damaged: 0 });
    assert_eq!(reindexed::<BY_NAME>(&db).await, ReindexReport { rows: 30, added: 30, removed: 30, damaged: 0 });
}

#[fact]
pub async fn dangling_and_unreadable_entries_are_removed(db: Database) {
    insert_all(&db, &(0..5).map(numbered::<BY_NAME>).collect::<Vec<_>>()).await;
    let tx = db.begin().await.unwrap();
    for key in [
        keys::index_entry("user", "by_name", b"of a row that is gone!", "gone"),
        keys::index_entry("user", "by_name", b"former!", "u0001"),
        keys::unique_index_entry("user", "by_name", b"unreadable"),
        keys::unique_index_entry("user", "by_name", b"unreadable:\xff"),
    ] {
        tx.system_keys().put(key, Vec::new()).await.unwrap();
    }
    let neighbour = keys::index_entry("user", "by_name_too", b"another index's!", "gone");
    tx.system_keys().put(neighbour.clone(), Vec::new()).await.unwrap();
    tx.commit().await.unwrap();
    let model = db.model::<Version<BY_NAME>>();
    let report = model.reindex("by_name").run().await.unwrap();
    assert_eq!(report, ReindexReport { rows: 5, added: 0, removed: 4, damaged: 0 });
    let tx = db.begin().await.unwrap();
    assert!(tx.get(&neighbour).await.unwrap().is_some());
}

#[fact]
pub async fn two_rows_with_one_unique_value_are_named(db: Database) {
    let mut rows: Vec<_> = (0..5).map(numbered::<NONE>).collect();
    rows[3].0.name = "name 1".to_string();
    insert_all(&db, &rows).await;
    for batch in [1, 200] {
        let error = db.model::<Version<UNIQUE>>().reindex("by_name").batch(batch).run().await.unwrap_err();
        assert!(matches!(&error, TitoError::DuplicateRows { ids, .. } if ids == &["u0001", "u0003"]), "{error}");
        assert_eq!(error.violated_index(), Some(("user".to_string(), "by_name".to_string())));
    }
}

#[fact]
pub async fn a_stale_holder_of_a_unique_value_gives_way(db: Database) {
    insert_all(&db, &(0..3).map(numbered::<NONE>).collect::<Vec<_>>()).await;
    let tx = db.begin().await.unwrap();
    for (name, holder) in [(&b"name\"200!"[..], "gone"), (b"name\"201!", "u0002"), (b"name\"202!", "\u{1}")] {
        tx.system_keys().put(keys::unique_index_entry("user", "by_name", name), holder.into()).await.unwrap();
    }
    tx.commit().await.unwrap();
    assert_eq!(reindexed::<UNIQUE>(&db).await, ReindexReport { rows: 3, added: 3, removed: 0, damaged: 0 });
}

#[fact]
pub async fn a_run_that_was_cut_off_is_resumed(db: Database) {
    insert_all(&db, &(0..25).map(numbered::<NONE>).collect::<Vec<_>>()).await;
    let model = db.model::<Version<BY_NAME>>();
    let told = Arc::new(Mutex::new(Vec::new()));
    let telling = told.clone();
    let run =
        model.reindex("by_name").batch(10).on_progress(move |progress| telling.lock().unwrap().push(progress.clone()));
    run.run().await.unwrap();
    let told = told.lock().unwrap().clone();
    let phases: Vec<_> = told.iter().map(|progress| (progress.phase, progress.done.rows)).collect();
    let (rows, entries) = (ReindexPhase::Rows, ReindexPhase::Entries);
    assert_eq!(phases, [(rows, 10), (rows, 20), (rows, 25), (entries, 25), (entries, 25), (entries, 25)]);
    for progress in told {
        // What the run had not come to is done now; the rest is taken as done.
        let tx = db.begin().await.unwrap();
        for (key, _) in stored(&tx, "index:").await {
            tx.system_keys().delete(key).await.unwrap();
        }
        tx.commit().await.unwrap();
        let position = progress.position.to_string().parse::<tito_core::model::Cursor>().unwrap();
        let report = model.reindex("by_name").resume(position).run().await.unwrap();
        let left = 25 - progress.done.rows;
        assert_eq!(report, ReindexReport { rows: left, added: left, removed: 0, damaged: 0 });
    }
}

#[fact]
pub async fn rows_written_meanwhile_have_exactly_their_entries(db: Database) {
    const ROWS: usize = 200;
    insert_all(&db, &(0..ROWS).map(numbered::<NONE>).collect::<Vec<_>>()).await;
    let model = db.model::<Version<BY_NAME_OF_ACTIVE>>();
    let writers = (0..4u64).map(|writer| {
        let (db, model) = (db.clone(), model.clone());
        tokio::spawn(async move {
            let mut random = fastrand::Rng::with_seed(writer);
            for turn in 0..100 {
                let mut row = numbered::<BY_NAME_OF_ACTIVE>(random.usize(..ROWS));
                row.0.name = format!("{writer} {turn}");
                row.0.active = random.bool();
                let (deleted, model) = (random.u8(..4) == 0, model.clone());
                db.transaction(|tx| async move {
                    if deleted {
                        model.delete(&row.0.id, &tx).await.map(|_| ())
                    } else {
                        model.upsert(&row, &tx).await.map(|_| ())
                    }
                })
                .await
                .unwrap();
            }
        })
    });
    let writers: Vec<_> = writers.collect();
    model.reindex("by_name").batch(5).run().await.unwrap();
    for writer in writers {
        writer.await.unwrap();
    }
    assert_index_is_exact::<Version<BY_NAME_OF_ACTIVE>>(&db).await;
}

#[fact]
pub async fn a_position_of_another_index_is_refused(db: Database) {
    insert_all(&db, &[user("ada"), user("bob")]).await;
    let users = db.model::<User>();
    let tx = db.begin().await.unwrap();
    let other = users.query(User::BY_EMAIL).limit(1).page(&tx).await.unwrap().next;
    let error = users.reindex(User::BY_NAME).resume(other).run().await.unwrap_err();
    assert!(matches!(error, TitoError::InvalidCursor { .. }), "{error}");
    let error = users.reindex("by_nothing").run().await.unwrap_err();
    assert!(matches!(error, TitoError::InvalidIndex { .. }), "{error}");
}
