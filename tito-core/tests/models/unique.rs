//! Unique indexes.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use tito_core::Transaction;
use tito_core::keys;
use tito_core::model::{Change, IndexDefinition, IndexEntry, TitoSchema};
use tito_core::prelude::*;

use crate::support::*;

fn with_email(id: &str, email: &str) -> User {
    User { email: email.to_string(), ..user(id) }
}

#[fact]
pub async fn a_taken_value_is_refused_and_the_index_named(db: Database) {
    insert_all(&db, &[with_email("ada", "a@x"), with_email("bob", "b@x")]).await;
    let inserting = db.clone().model::<User>();
    let updating = inserting.clone();
    for error in [
        db.transaction(|tx| async move { inserting.insert(&with_email("eve", "a@x"), &tx).await }).await.unwrap_err(),
        db.transaction(|tx| async move { updating.update(&with_email("bob", "a@x"), &tx).await }).await.unwrap_err(),
    ] {
        assert!(matches!(error, TitoError::AlreadyExists { .. }), "{error}");
        assert_eq!(error.violated_index(), Some(("user".to_string(), "by_email".to_string())));
    }
    assert_index_is_exact::<User>(&db).await;
    let tx = db.begin().await.unwrap();
    let users = db.clone().model::<User>();
    assert_eq!(users.query(User::BY_EMAIL).equals("a@x").ids(&tx).await.unwrap(), ["ada"]);
    assert_eq!(users.get("eve", &tx).await.unwrap(), None);
}

#[fact]
pub async fn an_updated_value_is_free_in_the_same_transaction(db: Database) {
    insert_all(&db, &[with_email("ada", "a@x")]).await;
    let users = db.clone().model::<User>();
    db.transaction(|tx| async move {
        users.update(&with_email("ada", "new@x"), &tx).await?;
        users.insert(&with_email("eve", "a@x"), &tx).await
    })
    .await
    .unwrap();
    assert_index_is_exact::<User>(&db).await;
}

#[fact]
pub async fn two_rows_swap_values_by_way_of_a_third(db: Database) {
    insert_all(&db, &[with_email("ada", "a@x"), with_email("bob", "b@x")]).await;
    let users = db.clone().model::<User>();
    let swapping = users.clone();
    db.transaction(|tx| async move {
        swapping.update(&with_email("ada", "free@x"), &tx).await?;
        swapping.update(&with_email("bob", "a@x"), &tx).await?;
        swapping.update(&with_email("ada", "b@x"), &tx).await
    })
    .await
    .unwrap();
    assert_index_is_exact::<User>(&db).await;
    let deleting = users.clone();
    db.transaction(|tx| async move {
        deleting.delete("ada", &tx).await?;
        deleting.update(&with_email("bob", "b@x"), &tx).await?;
        deleting.insert(&with_email("ada", "a@x"), &tx).await
    })
    .await
    .unwrap();
    assert_index_is_exact::<User>(&db).await;
    let tx = db.begin().await.unwrap();
    assert_eq!(users.query(User::BY_EMAIL).ids(&tx).await.unwrap(), ["ada", "bob"]);
}

#[fact]
pub async fn a_deleted_row_frees_its_values(db: Database) {
    insert_all(&db, &[with_email("ada", "a@x")]).await;
    let users = db.clone().model::<User>();
    db.transaction(|tx| async move {
        users.delete("ada", &tx).await?;
        users.insert(&with_email("ada", "a@x"), &tx).await
    })
    .await
    .unwrap();
    assert_index_is_exact::<User>(&db).await;
}

#[fact]
pub async fn of_two_concurrent_rows_with_one_value_one_is_refused(db: Database) {
    let users = db.clone().model::<User>();
    let (first, second) = (db.begin().await.unwrap(), db.begin().await.unwrap());
    let inserts = async |id: &str, tx: &Transaction| {
        users.insert(&with_email(id, "a@x"), tx).await?;
        tx.commit().await
    };
    inserts("ada", &first).await.unwrap();
    let error = inserts("bob", &second).await.unwrap_err();
    assert!(matches!(error, TitoError::Conflict { .. } | TitoError::AlreadyExists { .. }), "{error}");
    assert_index_is_exact::<User>(&db).await;
}

/// A user before its emails were unique.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(transparent)]
struct Before(User);

impl TitoSchema for Before {
    fn table() -> Cow<'static, str> {
        User::table()
    }
    fn id(&self) -> String {
        self.0.id()
    }
    fn index_definitions() -> Vec<IndexDefinition> {
        Vec::new()
    }
    fn index_entries(&self) -> tito_core::Result<Vec<IndexEntry>> {
        Ok(Vec::new())
    }
    fn events(_: &Change<'_, Self>) -> Vec<TitoEventConfig> {
        Vec::new()
    }
}

#[fact]
pub async fn a_row_leaves_an_entry_alone_that_is_another_row_s(db: Database) {
    insert_all(&db, &[Before(with_email("bob", "a@x"))]).await;
    insert_all(&db, &[with_email("ada", "a@x")]).await;
    let users = db.clone().model::<User>();
    db.transaction(|tx| async move { users.delete("bob", &tx).await }).await.unwrap();
    let tx = db.begin().await.unwrap();
    let key = keys::unique_index_entry("user", "by_email", b"a@x!");
    assert_eq!(tx.get(&key).await.unwrap(), Some(b"ada".to_vec()));
    assert_index_is_exact::<User>(&db).await;
}
