//! Ids, entries, conditions, entities, times and changes follow from what is stored, whatever serde was told.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use tito_core::model::{Index, TitoOperation, TitoOptions};
use tito_core::prelude::*;

use crate::support::*;

/// Text that is stored in lower case.
mod lower_case {
    use super::*;

    pub fn serialize<S: Serializer>(text: &str, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&text.to_lowercase())
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
        String::deserialize(deserializer)
    }
}

mod lower_case_option {
    use super::*;

    pub fn serialize<S: Serializer>(text: &Option<String>, serializer: S) -> Result<S::Ok, S::Error> {
        text.as_ref().map(|text| text.to_lowercase()).serialize(serializer)
    }
}

mod lower_case_list {
    use super::*;

    pub fn serialize<S: Serializer>(texts: &[String], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(texts.iter().map(|text| text.to_lowercase()))
    }
}

/// Whole euros, by which a row's condition is told.
mod rounded {
    use super::*;

    pub fn serialize<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(value.round())
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, TitoModel)]
#[tito(table = "visit", entity = self.place)]
#[tito(event = "large", when = self.amount > 10.0)]
#[tito(event = "later", on(insert), at = self.at)]
#[tito(index(name = "by_place_and_time", fields(place, at)))]
#[tito(index(name = "by_large", fields(place), when = self.amount > 10.0))]
struct Visit {
    #[serde(with = "lower_case")]
    id: String,
    #[serde(with = "chrono::serde::ts_seconds")]
    #[tito(index(name = "by_time"), event = "moved")]
    at: DateTime<Utc>,
    #[serde(with = "chrono::serde::ts_seconds")]
    #[tito(index(name = "by_ticket", unique))]
    ticket: DateTime<Utc>,
    #[serde(with = "lower_case")]
    #[tito(index(name = "by_email", unique), event = "email_changed")]
    email: String,
    #[serde(serialize_with = "lower_case_option::serialize")]
    #[tito(index)]
    nick: Option<String>,
    #[serde(with = "chrono::serde::ts_seconds_option")]
    #[tito(index)]
    left: Option<DateTime<Utc>>,
    #[serde(serialize_with = "lower_case_list::serialize")]
    #[tito(index, event = "tagged")]
    tags: Vec<String>,
    #[serde(with = "lower_case")]
    place: String,
    #[serde(serialize_with = "rounded::serialize")]
    amount: f64,
}

const TIME: i64 = 4_000_000_000;

fn visit(id: &str) -> Visit {
    let at = DateTime::from_timestamp(TIME, 750_000_000).unwrap();
    Visit {
        id: id.to_string(),
        at,
        ticket: at,
        email: "Ada@Example.com".to_string(),
        nick: Some("ADA".to_string()),
        left: Some(at),
        tags: vec!["New".to_string(), "NEW".to_string()],
        place: "Berlin".to_string(),
        amount: 10.4,
    }
}

async fn names_of_events(db: &Database) -> Vec<String> {
    events(db).await.into_iter().map(|event| event.event_type).collect()
}

#[fact]
pub async fn what_is_indexed_is_what_is_stored(db: Database) {
    let visits = db.model::<Visit>();
    insert_all(&db, &[visit("A")]).await;
    assert_index_is_exact::<Visit>(&db).await;
    let tx = db.begin().await.unwrap();
    let stored = visits.get("a", &tx).await.unwrap().unwrap();
    assert_eq!((stored.id.as_str(), stored.email.as_str()), ("a", "ada@example.com"));
    let whole = DateTime::from_timestamp(TIME, 0).unwrap();
    for found in [
        visits.query(Visit::BY_TIME).equals(whole).ids(&tx).await.unwrap(),
        visits.query(Visit::BY_TICKET).equals(whole).ids(&tx).await.unwrap(),
        visits.query(Visit::BY_EMAIL).equals("ada@example.com").ids(&tx).await.unwrap(),
        visits.query(Visit::BY_NICK).equals("ada").ids(&tx).await.unwrap(),
        visits.query(Visit::BY_LEFT).equals(whole).ids(&tx).await.unwrap(),
        visits.query(Visit::BY_TAGS).equals("new").ids(&tx).await.unwrap(),
        visits.query(Visit::BY_PLACE_AND_TIME).equals(("berlin", whole)).ids(&tx).await.unwrap(),
    ] {
        assert_eq!(found, ["a"]);
    }
    // 10.4 is stored as 10, which does not meet the condition.
    assert_eq!(visits.query(Visit::BY_LARGE).count(&tx).await.unwrap(), 0);
}

#[fact]
pub async fn updates_and_deletes_leave_no_entries_behind(db: Database) {
    let visits = db.model::<Visit>();
    insert_all(&db, &[visit("A")]).await;
    let changed = Visit {
        email: "Bob@Example.com".to_string(),
        amount: 10.6,
        tags: vec!["Old".to_string()],
        nick: None,
        ..visit("A")
    };
    db.transaction(|tx| async move { visits.update(&changed, &tx).await }).await.unwrap();
    assert_index_is_exact::<Visit>(&db).await;
    // What the row gave up in unique indexes is free.
    let other = Visit { ticket: DateTime::from_timestamp(1, 0).unwrap(), ..visit("B") };
    insert_all(&db, &[other]).await;
    let visits = db.model::<Visit>();
    db.transaction(|tx| async move {
        assert!(visits.delete("a", &tx).await?);
        assert!(visits.delete("b", &tx).await?);
        Ok(())
    })
    .await
    .unwrap();
    let tx = db.begin().await.unwrap();
    assert_eq!(stored(&tx, "index:").await, []);
}

#[fact]
pub async fn a_unique_value_is_taken_as_it_is_stored(db: Database) {
    insert_all(&db, &[visit("A")]).await;
    let visits = db.model::<Visit>();
    let same =
        Visit { email: "ADA@example.com".to_string(), ticket: DateTime::from_timestamp(1, 0).unwrap(), ..visit("B") };
    let error = db.transaction(|tx| async move { visits.insert(&same, &tx).await }).await.unwrap_err();
    assert_eq!(error.violated_index(), Some(("visit".to_string(), "by_email".to_string())));
}

#[fact]
pub async fn events_tell_of_what_changed_in_what_is_stored(db: Database) {
    insert_all(&db, &[visit("A")]).await;
    let first = names_of_events(&db).await;
    // The amount is stored as 10, so there is no event `large`.
    assert_eq!(first, ["later", "moved", "email_changed", "tagged"]);
    let inserted = events(&db).await;
    assert!(inserted.iter().all(|event| event.entity == "berlin"), "{inserted:?}");
    assert_eq!(inserted[0].timestamp, TIME);
    // The same row again: nothing has changed, though the caller's values differ from those that are read.
    let visits = db.model::<Visit>();
    db.transaction(|tx| async move { visits.update(&visit("A"), &tx).await }).await.unwrap();
    let visits = db.model::<Visit>();
    let shouted = Visit { email: "ADA@EXAMPLE.COM".to_string(), ..visit("A") };
    db.transaction(|tx| async move { visits.upsert(&shouted, &tx).await }).await.unwrap();
    assert_eq!(names_of_events(&db).await, first);
    let visits = db.model::<Visit>();
    let large = Visit { amount: 10.5, ..visit("A") };
    db.transaction(|tx| async move { visits.update(&large, &tx).await }).await.unwrap();
    assert_eq!(names_of_events(&db).await[4..], ["large"]);
}

/// Written by hand: what is indexed is read from the row's JSON.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Note {
    #[serde(serialize_with = "lower_case::serialize")]
    id: String,
    #[serde(serialize_with = "lower_case::serialize")]
    title: String,
    /// Never stored.
    #[serde(skip)]
    draft: bool,
}

const BY_TITLE: Index<Note, (String,)> = Index::new("by_title", false);

impl TitoModelTrait for Note {
    fn id(&self) -> String {
        self.id.clone()
    }

    fn table(&self) -> String {
        "note".to_string()
    }

    fn indexes(&self) -> Vec<TitoIndexConfig> {
        let field = TitoIndexField { name: "title".to_string(), r#type: TitoIndexBlockType::String };
        vec![TitoIndexConfig { condition: !self.draft, name: "by_title".to_string(), fields: vec![field] }]
    }

    fn events(&self) -> Vec<TitoEventConfig> {
        if self.draft { vec![TitoEventConfig::immediate("draft")] } else { Vec::new() }
    }
}

#[fact]
pub async fn hand_written_models_follow_what_is_stored(db: Database) {
    let note = Note { id: "N".to_string(), title: "Hello".to_string(), draft: true };
    insert_all(&db, std::slice::from_ref(&note)).await;
    assert_index_is_exact::<Note>(&db).await;
    assert!(events(&db).await.is_empty());
    let notes = db.model::<Note>();
    let tx = db.begin().await.unwrap();
    assert_eq!(notes.query(BY_TITLE).equals("hello").ids(&tx).await.unwrap(), ["n"]);
    let changed = Note { title: "World".to_string(), ..note };
    db.transaction(|tx| async move { notes.update(&changed, &tx).await }).await.unwrap();
    assert_index_is_exact::<Note>(&db).await;
}

#[fact]
pub async fn a_delete_by_the_row_is_of_the_id_that_is_stored(db: Database) {
    insert_all(&db, &[visit("A")]).await;
    let (visits, options) = (db.model::<Visit>(), TitoOptions::with_events(TitoOperation::Delete));
    db.transaction(|tx| async move { visits.build_with_options(visit("A"), options, &tx).await }).await.unwrap();
    let tx = db.begin().await.unwrap();
    assert_eq!((stored(&tx, "data:").await, stored(&tx, "index:").await), (vec![], vec![]));
}
