//! Ids, and names of tables, indexes and events.

use serde::{Deserialize, Serialize};
use tito_core::prelude::*;

use crate::support::*;

#[fact]
pub async fn strange_ids_stay_apart(db: Database) {
    let strange = [
        "a",
        "a:",
        "a:b",
        ":",
        "::",
        "%",
        "%3A",
        "a%3Ab",
        "\0",
        "a\0",
        "a\0b",
        " ",
        "!",
        "a!",
        "\"",
        "\"3a",
        ";",
        ";0",
        ";1",
        "🎈",
        "a🎈",
        "\u{10ffff}",
        "ÿ",
        "e\u{301}",
        "é",
        "\r\n",
        "data:user:a",
        "../a",
    ];
    let rows: Vec<_> = strange.iter().map(|id| User { name: "same".to_string(), ..user(id) }).collect();
    insert_all(&db, &rows).await;
    assert_index_is_exact::<User>(&db).await;
    let users = db.clone().model::<User>();
    let tx = db.begin().await.unwrap();
    let mut sorted = strange.map(str::to_string).to_vec();
    sorted.sort();
    assert_eq!(users.rows().ids(&tx).await.unwrap(), sorted);
    assert_eq!(users.query(User::BY_NAME).equals("same").ids(&tx).await.unwrap(), sorted);
    for row in &rows {
        assert_eq!(users.get(&row.id, &tx).await.unwrap().as_ref(), Some(row));
        assert_eq!(users.query(User::BY_EMAIL).equals(&row.email).first(&tx).await.unwrap().as_ref(), Some(row));
    }
    for (deleted, id) in strange.iter().enumerate() {
        assert!(users.delete(id, &tx).await.unwrap());
        assert_eq!(users.rows().count(&tx).await.unwrap() as usize, strange.len() - deleted - 1);
    }
    tx.commit().await.unwrap();
    assert_index_is_exact::<User>(&db).await;
}

#[fact]
pub async fn an_empty_id_is_refused(db: Database) {
    let users = db.clone().model::<User>();
    let tx = db.begin().await.unwrap();
    for error in [
        users.insert(&user(""), &tx).await.unwrap_err(),
        users.update(&user(""), &tx).await.unwrap_err(),
        users.upsert(&user(""), &tx).await.map(|_| ()).unwrap_err(),
        users.get("", &tx).await.map(|_| ()).unwrap_err(),
        users.batch_get(["a", ""], &tx).await.map(|_| ()).unwrap_err(),
        users.delete("", &tx).await.map(|_| ()).unwrap_err(),
    ] {
        assert!(matches!(error, TitoError::InvalidName { what: "id", .. }), "{error}");
    }
}

#[fact]
pub async fn an_id_too_long_is_refused_before_the_commit(db: Database) {
    let users = db.clone().model::<User>();
    let tx = db.begin().await.unwrap();
    let long = "i".repeat(10_000);
    let error = users.insert(&user(&long), &tx).await.unwrap_err();
    assert!(matches!(error, TitoError::LimitExceeded { .. }), "{error}");
    assert!(error.to_string().len() < 1_000);
    let error = users.insert(&User { name: long, ..user("ada") }, &tx).await.unwrap_err();
    assert!(matches!(error, TitoError::LimitExceeded { .. }), "{error}");
}

const NAMES: [&str; 4] = ["", "with:colon", "with\ncontrol", LONG];

/// One byte longer than a name may be.
const LONG: &str = match std::str::from_utf8(&[b'n'; 256]) {
    Ok(name) => name,
    Err(_) => "",
};

const TABLE: usize = 0;
const INDEX: usize = 1;
const EVENT: usize = 2;

/// A model one of whose names (of its table, index or event) can't be one.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Misnamed<const WHAT: usize, const NAME: usize> {
    value: String,
}

impl<const WHAT: usize, const NAME: usize> Misnamed<WHAT, NAME> {
    fn name(what: usize) -> String {
        if what == WHAT { NAMES[NAME].to_string() } else { "fine".to_string() }
    }

    async fn is_refused_as(db: &Database, expected: &str) {
        let model = db.clone().model::<Self>();
        let tx = db.begin().await.unwrap();
        let error = model.insert(&Self::default(), &tx).await.unwrap_err();
        let TitoError::InvalidName { what, name, .. } = &error else { panic!("{error}") };
        assert_eq!(*what, expected);
        assert!(NAMES[NAME].starts_with(name), "{error}");
    }
}

impl<const WHAT: usize, const NAME: usize> TitoModelTrait for Misnamed<WHAT, NAME> {
    fn id(&self) -> String {
        "1".to_string()
    }
    fn table(&self) -> String {
        Self::name(TABLE)
    }
    fn indexes(&self) -> Vec<TitoIndexConfig> {
        let fields = vec![TitoIndexField { name: "value".to_string(), r#type: TitoIndexBlockType::String }];
        vec![TitoIndexConfig { condition: true, name: Self::name(INDEX), fields }]
    }
    fn events(&self) -> Vec<TitoEventConfig> {
        vec![TitoEventConfig::immediate(Self::name(EVENT))]
    }
}

#[fact]
pub async fn invalid_names_of_tables_indexes_and_events_are_refused(db: Database) {
    Misnamed::<TABLE, 0>::is_refused_as(&db, "table").await;
    Misnamed::<TABLE, 1>::is_refused_as(&db, "table").await;
    Misnamed::<TABLE, 2>::is_refused_as(&db, "table").await;
    Misnamed::<TABLE, 3>::is_refused_as(&db, "table").await;
    Misnamed::<EVENT, 0>::is_refused_as(&db, "event type").await;
    Misnamed::<EVENT, 1>::is_refused_as(&db, "event type").await;
    Misnamed::<EVENT, 2>::is_refused_as(&db, "event type").await;
    Misnamed::<EVENT, 3>::is_refused_as(&db, "event type").await;
    Misnamed::<INDEX, 0>::is_refused_as(&db, "index").await;
    Misnamed::<INDEX, 1>::is_refused_as(&db, "index").await;
    Misnamed::<INDEX, 2>::is_refused_as(&db, "index").await;
    Misnamed::<INDEX, 3>::is_refused_as(&db, "index").await;
}
