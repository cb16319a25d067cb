//! Each form of query.

use std::ops::Bound;

use futures::TryStreamExt;
use tito_core::model::Index;
use tito_core::prelude::*;

use crate::support::*;

/// Ages 0 to 9 in two organisations, of which one's name is the beginning of the other's.
fn staff() -> Vec<User> {
    (0..10)
        .flat_map(|age| ["acme", "acme:west"].map(|org| (org, age)))
        .map(|(org, age)| User {
            org: org.to_string(),
            name: format!("{org} {age}"),
            age,
            active: true,
            ..user(&format!("{org}/{age}"))
        })
        .collect()
}

fn ages(rows: &[User]) -> Vec<u32> {
    rows.iter().map(|row| row.age).collect()
}

#[fact]
pub async fn equality_finds_exactly_the_rows_with_the_value(db: Database) {
    insert_all(&db, &staff()).await;
    let users = db.model::<User>();
    let tx = db.begin().await.unwrap();
    let found = users.query(User::BY_NAME).equals("acme 1").all(&tx).await.unwrap();
    assert_eq!(ids(&found), ["acme/1"]);
    let found = users.query(User::BY_EMAIL).equals("acme/1@example.com".to_string()).all(&tx).await.unwrap();
    assert_eq!(ids(&found), ["acme/1"]);
    assert_eq!(users.query(User::BY_NAME).equals("acme ").count(&tx).await.unwrap(), 0);
    let found = users.query(User::BY_AGE).equals(3).all(&tx).await.unwrap();
    assert_eq!(ids(&found), ["acme/3", "acme:west/3"]);
    let found = users.query(User::BY_ORG_AND_AGE).equals(("acme", 3)).all(&tx).await.unwrap();
    assert_eq!(ids(&found), ["acme/3"]);
}

#[fact]
pub async fn each_value_of_a_list_finds_its_row(db: Database) {
    let tagged = |id: &str, tags: &[&str]| User { tags: tags.iter().map(|tag| tag.to_string()).collect(), ..user(id) };
    insert_all(&db, &[tagged("one", &["red", "blue", "red"]), tagged("two", &["blue"]), tagged("none", &[])]).await;
    let users = db.model::<User>();
    let tx = db.begin().await.unwrap();
    let query = || users.query(User::BY_TAGS);
    assert_eq!(query().equals("red").ids(&tx).await.unwrap(), ["one"]);
    assert_eq!(query().equals("blue").ids(&tx).await.unwrap(), ["one", "two"]);
    // In a range a row comes up once for each of its values there.
    assert_eq!(query().ids(&tx).await.unwrap(), ["one", "two", "one"]);
    users.update(&tagged("one", &["green", "blue"]), &tx).await.unwrap();
    assert_eq!(query().equals("red").count(&tx).await.unwrap(), 0);
    assert_eq!(query().ids(&tx).await.unwrap(), ["one", "two", "one"]);
    tx.commit().await.unwrap();
    assert_index_is_exact::<User>(&db).await;
}

#[fact]
pub async fn a_prefix_of_a_composite_index_finds_its_rows(db: Database) {
    insert_all(&db, &staff()).await;
    let users = db.model::<User>();
    let tx = db.begin().await.unwrap();
    let found = users.query(User::BY_ORG_AND_AGE).prefix("acme").all(&tx).await.unwrap();
    assert_eq!(ages(&found), (0..10).collect::<Vec<_>>());
    assert!(found.iter().all(|row| row.org == "acme"));
    assert_eq!(users.query(User::BY_ORG_AND_AGE).prefix(("acme:west",)).count(&tx).await.unwrap(), 10);
    assert_eq!(users.query(User::BY_ORG_AND_AGE).prefix("ac").count(&tx).await.unwrap(), 0);
}

#[fact]
pub async fn ranges_respect_every_kind_of_bound(db: Database) {
    insert_all(&db, &staff().into_iter().filter(|row| row.org == "acme").collect::<Vec<_>>()).await;
    let users = db.model::<User>();
    let tx = db.begin().await.unwrap();
    let query = || users.query(User::BY_AGE);
    assert_eq!(ages(&query().range(2..5).all(&tx).await.unwrap()), [2, 3, 4]);
    assert_eq!(ages(&query().range(2..=5).all(&tx).await.unwrap()), [2, 3, 4, 5]);
    assert_eq!(ages(&query().range(7..).all(&tx).await.unwrap()), [7, 8, 9]);
    assert_eq!(ages(&query().range(..2).all(&tx).await.unwrap()), [0, 1]);
    assert_eq!(ages(&query().range(..=2).all(&tx).await.unwrap()), [0, 1, 2]);
    assert_eq!(query().range(..).count(&tx).await.unwrap(), 10);
    let open = (Bound::Excluded(2), Bound::Excluded(5));
    assert_eq!(ages(&query().range(open).all(&tx).await.unwrap()), [3, 4]);
    let after = (Bound::Excluded(7), Bound::<u32>::Unbounded);
    assert_eq!(ages(&query().range(after).all(&tx).await.unwrap()), [8, 9]);
    #[allow(clippy::reversed_empty_ranges)] // what it is about
    let reversed = 5..2;
    assert_eq!(query().range(reversed).count(&tx).await.unwrap(), 0);
    assert_eq!(query().range(3..3).count(&tx).await.unwrap(), 0);
}

#[fact]
pub async fn ranges_of_leading_fields_ignore_the_others(db: Database) {
    insert_all(&db, &staff()).await;
    let users = db.model::<User>();
    let tx = db.begin().await.unwrap();
    let query = || users.query(User::BY_ORG_AND_AGE);
    let past_acme = (Bound::Excluded("acme"), Bound::<&str>::Unbounded);
    let found = query().range(past_acme).all(&tx).await.unwrap();
    assert_eq!(found.len(), 10);
    assert!(found.iter().all(|row| row.org == "acme:west"));
    assert_eq!(query().range("acme"..="acme").count(&tx).await.unwrap(), 10);
    assert_eq!(query().range(.."acme:west").count(&tx).await.unwrap(), 10);
    assert_eq!(query().range(..="acme:west").count(&tx).await.unwrap(), 20);
}

#[fact]
pub async fn ranges_of_tuples_compare_field_by_field(db: Database) {
    insert_all(&db, &staff()).await;
    let users = db.model::<User>();
    let tx = db.begin().await.unwrap();
    let query = || users.query(User::BY_ORG_AND_AGE);
    let found = query().range(("acme", 8)..("acme:west", 2)).all(&tx).await.unwrap();
    assert_eq!(ages(&found), [8, 9, 0, 1]);
    let found =
        query().range((Bound::Excluded(("acme", 8)), Bound::Included(("acme:west", 2)))).all(&tx).await.unwrap();
    assert_eq!(ages(&found), [9, 0, 1, 2]);
    // The two bounds may name different numbers of fields.
    let found = query().range((Bound::Included(("acme", 8)), Bound::Included("acme"))).all(&tx).await.unwrap();
    assert_eq!(ages(&found), [8, 9]);
}

#[fact]
pub async fn narrowing_calls_add_up(db: Database) {
    insert_all(&db, &staff()).await;
    let users = db.model::<User>();
    let tx = db.begin().await.unwrap();
    let found = users.query(User::BY_ORG_AND_AGE).prefix("acme").range(("acme", 7)..).all(&tx).await.unwrap();
    assert_eq!(ages(&found), [7, 8, 9]);
    assert_eq!(users.query(User::BY_AGE).equals(3).equals(4).count(&tx).await.unwrap(), 0);
}

#[fact]
pub async fn texts_are_found_by_their_beginning(db: Database) {
    let names = ["", "a", "ad", "ad!", "ad\0", "ad:a", "ada", "ad\u{10ffff}", "ae", "b"];
    let rows: Vec<_> = names
        .iter()
        .enumerate()
        .map(|(number, name)| User { name: name.to_string(), ..user(&format!("u{number}")) })
        .collect();
    insert_all(&db, &rows).await;
    let users = db.model::<User>();
    let tx = db.begin().await.unwrap();
    for prefix in ["", "a", "ad", "ad:", "ad\0", "ad\u{10ffff}", "c"] {
        let found = users.query(User::BY_NAME).starts_with(prefix).all(&tx).await.unwrap();
        let mut expected: Vec<_> = names.iter().filter(|name| name.starts_with(prefix)).copied().collect();
        expected.sort();
        assert_eq!(found.iter().map(|row| row.name.as_str()).collect::<Vec<_>>(), expected, "{prefix:?}");
    }
}

#[fact]
pub async fn both_directions_and_limits_agree(db: Database) {
    insert_all(&db, &staff()).await;
    let users = db.model::<User>();
    let tx = db.begin().await.unwrap();
    let query = || users.query(User::BY_ORG_AND_AGE).range(("acme", 3)..=("acme:west", 6));
    let forward = query().all(&tx).await.unwrap();
    let mut backward = query().reverse().all(&tx).await.unwrap();
    backward.reverse();
    assert_eq!(forward, backward);
    assert_eq!(forward.len(), 14);
    assert_eq!(query().limit(4).all(&tx).await.unwrap(), forward[..4]);
    backward.reverse();
    assert_eq!(query().reverse().limit(4).all(&tx).await.unwrap(), backward[..4]);
    assert_eq!(query().first(&tx).await.unwrap().as_ref(), forward.first());
    assert_eq!(query().reverse().first(&tx).await.unwrap().as_ref(), forward.last());
    assert_eq!(query().limit(0).all(&tx).await.unwrap(), []);
}

#[fact]
pub async fn ids_count_and_stream_agree_with_all(db: Database) {
    insert_all(&db, &staff()).await;
    let users = db.model::<User>();
    let tx = db.begin().await.unwrap();
    let query = || users.query(User::BY_AGE).range(2..8).limit(9);
    let all = query().all(&tx).await.unwrap();
    assert_eq!(query().ids(&tx).await.unwrap(), ids(&all));
    assert_eq!(query().count(&tx).await.unwrap(), 9);
    assert_eq!(query().stream(&tx).try_collect::<Vec<_>>().await.unwrap(), all);
}

#[fact]
pub async fn a_value_without_a_place_in_the_order_is_refused(db: Database) {
    let users = db.model::<User>();
    let tx = db.begin().await.unwrap();
    let error = users.query(User::BY_SCORE).range(f64::NAN..).all(&tx).await.unwrap_err();
    assert!(matches!(&error, TitoError::InvalidIndexValue { index, .. } if index == "by_score"), "{error}");
    let error = users.insert(&User { score: Some(f64::NAN), ..user("ada") }, &tx).await.unwrap_err();
    assert!(matches!(&error, TitoError::Unserializable { path, .. } if path == "score"), "{error}");
}

#[fact]
pub async fn an_index_that_the_model_lacks_is_refused(db: Database) {
    let users = db.model::<User>();
    let tx = db.begin().await.unwrap();
    for handle in
        [Index::<User, (String,)>::new("by_nothing", false), Index::new("by_email", false), Index::new("by_name", true)]
    {
        let error = users.query(handle).equals("x").all(&tx).await.unwrap_err();
        assert!(matches!(&error, TitoError::InvalidIndex { index, .. } if index == handle.name()), "{error}");
    }
}

#[fact]
pub async fn a_query_sees_the_writes_of_its_transaction(db: Database) {
    insert_all(&db, &staff()).await;
    let users = db.model::<User>();
    let tx = db.begin().await.unwrap();
    users.delete("acme/3", &tx).await.unwrap();
    users.insert(&User { age: 3, active: true, ..user("new") }, &tx).await.unwrap();
    assert_eq!(users.query(User::BY_AGE).equals(3).ids(&tx).await.unwrap(), ["acme:west/3", "new"]);
}

#[fact]
pub async fn a_stream_reads_more_rows_than_one_request_holds(db: Database) {
    let rows: Vec<_> =
        (0..700).map(|number| User { age: number, active: true, ..user(&format!("{number:04}")) }).collect();
    insert_all(&db, &rows).await;
    let users = db.model::<User>();
    let tx = db.begin().await.unwrap();
    let streamed: Vec<User> = users.query(User::BY_AGE).stream(&tx).try_collect().await.unwrap();
    assert_eq!(streamed, rows);
    assert_eq!(users.query(User::BY_AGE).limit(300).all(&tx).await.unwrap(), rows[..300]);
    assert_eq!(users.query(User::BY_AGE).reverse().count(&tx).await.unwrap(), 700);
}
