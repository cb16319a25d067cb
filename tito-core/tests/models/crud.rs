//! Insert, update, upsert, delete and reads by id.

use serde::{Deserialize, Serialize};
use tito_core::prelude::*;

use crate::support::*;

#[fact]
pub async fn insert_update_and_delete_are_read_back(db: Database) {
    let users = db.clone().model::<User>();
    let tx = db.begin().await.unwrap();
    users.insert(&user("ada"), &tx).await.unwrap();
    assert_eq!(users.get("ada", &tx).await.unwrap(), Some(user("ada")));
    tx.commit().await.unwrap();

    let tx = db.begin().await.unwrap();
    let older = User { age: 36, ..user("ada") };
    users.update(&older, &tx).await.unwrap();
    assert_eq!(users.get("ada", &tx).await.unwrap(), Some(older.clone()));
    tx.commit().await.unwrap();

    let tx = db.begin().await.unwrap();
    assert_eq!(users.get("ada", &tx).await.unwrap(), Some(older));
    assert!(users.delete("ada", &tx).await.unwrap());
    assert_eq!(users.get("ada", &tx).await.unwrap(), None);
    tx.commit().await.unwrap();
    assert_index_is_exact::<User>(&db).await;
    let tx = db.begin().await.unwrap();
    assert_eq!(stored(&tx, "data:").await, []);
}

#[fact]
pub async fn insert_of_an_existing_row_fails_and_changes_nothing(db: Database) {
    let users = db.clone().model::<User>();
    insert_all(&db, &[user("ada")]).await;
    let events_before = events(&db).await.len();
    let other = User { email: "other@example.com".to_string(), age: 99, ..user("ada") };
    let error = db.transaction(|tx| async move { users.insert(&other, &tx).await }).await.unwrap_err();
    assert!(matches!(&error, TitoError::AlreadyExists { key } if key.as_bytes() == b"data:user:ada"), "{error}");
    assert_eq!(error.violated_index(), None);
    let tx = db.begin().await.unwrap();
    assert_eq!(db.clone().model::<User>().get("ada", &tx).await.unwrap(), Some(user("ada")));
    assert_index_is_exact::<User>(&db).await;
    assert_eq!(events(&db).await.len(), events_before);
}

#[fact]
pub async fn update_of_a_missing_row_says_which(db: Database) {
    let users = db.clone().model::<User>();
    let tx = db.begin().await.unwrap();
    let error = users.update(&user("ada"), &tx).await.unwrap_err();
    assert!(matches!(&error, TitoError::RowNotFound { table, id } if table == "user" && id == "ada"), "{error}");
    tx.commit().await.unwrap();
    assert_eq!(events(&db).await.len(), 0);
}

#[fact]
pub async fn upsert_inserts_then_updates(db: Database) {
    for (age, expected) in [(1, TitoOperation::Insert), (2, TitoOperation::Update)] {
        let users = db.clone().model::<User>();
        let row = User { age, ..user("ada") };
        let did = db.transaction(|tx| async move { users.upsert(&row, &tx).await }).await.unwrap();
        assert_eq!(did, expected);
    }
    let actions: Vec<_> = events(&db).await.into_iter().map(|event| (event.event_type, event.action)).collect();
    let expected = [("user", "insert"), ("email_changed", "insert"), ("user", "update")];
    assert_eq!(actions, expected.map(|(kind, action)| (kind.to_string(), action.to_string())));
    assert_index_is_exact::<User>(&db).await;
}

#[fact]
pub async fn delete_says_whether_there_was_a_row(db: Database) {
    insert_all(&db, &[user("ada"), user("bob")]).await;
    for expected in [true, false] {
        let users = db.clone().model::<User>();
        assert_eq!(db.transaction(|tx| async move { users.delete("ada", &tx).await }).await.unwrap(), expected);
    }
    assert_index_is_exact::<User>(&db).await;
    let deletes = events(&db).await.iter().filter(|event| event.action == "delete").count();
    assert_eq!(deletes, 1);
}

#[fact]
pub async fn batch_get_keeps_the_order_of_ids(db: Database) {
    let rows: Vec<_> = (0..300).map(|number| user(&format!("u{number}"))).collect();
    insert_all(&db, &rows).await;
    let users = db.clone().model::<User>();
    let tx = db.begin().await.unwrap();
    let asked: Vec<_> = (0..301).rev().map(|number| format!("u{number}")).collect();
    let found = users.batch_get(&asked, &tx).await.unwrap();
    assert_eq!(found[0], None);
    assert!(found[1..].iter().eq(rows.iter().rev().cloned().map(Some).collect::<Vec<_>>().iter()));
    assert_eq!(users.batch_get(["u1", "none", "u1"], &tx).await.unwrap(), [Some(user("u1")), None, Some(user("u1"))]);
    assert_eq!(users.batch_get(Vec::<String>::new(), &tx).await.unwrap(), []);
}

#[fact]
pub async fn options_choose_the_operation_and_whether_events_are_written(db: Database) {
    use TitoOperation::{Delete, Insert, Update};
    for (options, events_after) in [
        (TitoOptions::with_events(Insert), 2),
        (TitoOptions::without_events(Update), 2),
        (TitoOptions::with_events(Update), 3),
        (TitoOptions::without_events(Delete), 3),
        (TitoOptions::without_events(Insert), 3),
        (TitoOptions::with_events(Delete), 4),
    ] {
        let user_model = db.clone().model::<User>();
        let row = user("ada");
        let built =
            db.transaction(|tx| async move { user_model.build_with_options(row, options, &tx).await }).await.unwrap();
        assert_eq!(built, user("ada"));
        assert_eq!(events(&db).await.len(), events_after, "{options:?}");
        assert_index_is_exact::<User>(&db).await;
    }
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Numbered {
    number: u64,
}

impl TitoModelTrait for Numbered {
    fn id(&self) -> String {
        self.number.to_string()
    }
    fn table(&self) -> String {
        "numbered".to_string()
    }
}

#[fact]
pub async fn ids_of_any_displayable_type_are_taken(db: Database) {
    insert_all(&db, &[Numbered { number: 17 }]).await;
    let model = db.clone().model::<Numbered>();
    let tx = db.begin().await.unwrap();
    let expected = Some(Numbered { number: 17 });
    assert_eq!(model.get(17u64, &tx).await.unwrap(), expected);
    assert_eq!(model.get("17", &tx).await.unwrap(), expected);
    assert_eq!(model.get(&17.to_string(), &tx).await.unwrap(), expected);
    assert_eq!(model.get(uuid::Uuid::nil(), &tx).await.unwrap(), None);
    assert!(model.delete(&17, &tx).await.unwrap());
}

#[fact]
pub async fn rows_are_read_in_order_of_ids(db: Database) {
    insert_all(&db, &[user("b"), user("a"), user("ab"), user("c")]).await;
    // Another table's rows, of which neither name is the beginning of the other's by accident.
    insert_all(&db, &[Numbered { number: 1 }]).await;
    let users = db.clone().model::<User>();
    let tx = db.begin().await.unwrap();
    assert_eq!(users.rows().ids(&tx).await.unwrap(), ["a", "ab", "b", "c"]);
    assert_eq!(users.rows().reverse().limit(2).ids(&tx).await.unwrap(), ["c", "b"]);
    assert_eq!(users.rows().starts_with("a").ids(&tx).await.unwrap(), ["a", "ab"]);
    assert_eq!(users.rows().count(&tx).await.unwrap(), 4);
}
