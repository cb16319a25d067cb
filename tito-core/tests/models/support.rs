//! A model with an index of every form, and looks at what is stored.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use tito_core::Transaction;
use tito_core::event::TitoEvent;
use tito_core::keys::{IndexField, KeyRange};
use tito_core::model::Index;
use tito_core::model::{Change, IndexDefinition, IndexEntry, Page, TitoSchema};
use tito_core::prelude::*;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct User {
    pub id: String,
    pub org: String,
    pub email: String,
    pub name: String,
    pub age: u32,
    pub active: bool,
    pub tags: Vec<String>,
    pub score: Option<f64>,
    pub remind_at: Option<i64>,
}

impl User {
    pub const BY_EMAIL: Index<User, (String,)> = Index::new("by_email", true);
    pub const BY_NAME: Index<User, (String,)> = Index::new("by_name", false);
    /// Of active users only.
    pub const BY_AGE: Index<User, (u32,)> = Index::new("by_age", false);
    pub const BY_ORG_AND_AGE: Index<User, (String, u32)> = Index::new("by_org_and_age", false);
    pub const BY_TAGS: Index<User, (String,)> = Index::new("by_tags", false);
    pub const BY_SCORE: Index<User, (f64,)> = Index::new("by_score", false);
}

const INDEXES: [(&str, bool); 6] = [
    ("by_email", true),
    ("by_name", false),
    ("by_age", false),
    ("by_org_and_age", false),
    ("by_tags", false),
    ("by_score", false),
];

fn definition((name, unique): (&'static str, bool)) -> IndexDefinition {
    IndexDefinition { name: Cow::Borrowed(name), unique, covers: Cow::Borrowed("") }
}

impl TitoSchema for User {
    fn table() -> Cow<'static, str> {
        Cow::Borrowed("user")
    }

    fn id(&self) -> String {
        self.id.clone()
    }

    fn index_definitions() -> Vec<IndexDefinition> {
        INDEXES.map(definition).to_vec()
    }

    fn index_entries(&self) -> tito_core::Result<Vec<IndexEntry>> {
        let mut entries = Vec::new();
        let fields: [Vec<_>; 6] = [
            vec![self.email.encodings()],
            vec![self.name.encodings()],
            if self.active { vec![self.age.encodings()] } else { vec![Ok(Vec::new())] },
            vec![self.org.encodings(), self.age.encodings()],
            vec![self.tags.encodings()],
            vec![self.score.encodings()],
        ];
        for (index, fields) in INDEXES.into_iter().zip(fields) {
            entries.extend(IndexEntry::combine("user", definition(index), &fields)?);
        }
        Ok(entries)
    }

    fn events(change: &Change<'_, Self>) -> Vec<TitoEventConfig> {
        let mut events = vec![TitoEventConfig::immediate("user")];
        let row = change.row;
        if change.operation != TitoOperation::Delete && change.old.is_none_or(|old| old.email != row.email) {
            events.push(TitoEventConfig::immediate("email_changed"));
        }
        events.extend(row.remind_at.map(|at| TitoEventConfig::at("reminder", at)));
        events
    }
}

/// A user whose email tells its id.
pub fn user(id: &str) -> User {
    User { id: id.to_string(), email: format!("{id}@example.com"), ..User::default() }
}

pub async fn insert_all<M: TitoSchema>(db: &Database, rows: &[M]) {
    let model = db.model::<M>();
    let rows = rows.to_vec();
    db.transaction(|tx| async move {
        for row in &rows {
            model.insert(row, &tx).await?;
        }
        Ok(())
    })
    .await
    .unwrap();
}

pub async fn stored(tx: &Transaction, prefix: &str) -> Vec<(Vec<u8>, Vec<u8>)> {
    tx.scan(KeyRange::prefix(prefix), 100_000).await.unwrap()
}

/// Checks that the index of a table holds exactly what its rows call for.
pub async fn assert_index_is_exact<M: TitoSchema>(db: &Database) {
    let tx = db.begin().await.unwrap();
    let rows = db.model::<M>().rows().all(&tx).await.unwrap();
    let table = M::table();
    let mut expected = BTreeMap::new();
    for row in &rows {
        for entry in row.index_entries().unwrap() {
            expected.insert(entry.key(&table, &row.id()), entry.value(&row.id()));
        }
    }
    let found: BTreeMap<_, _> = stored(&tx, &format!("index:{table}:")).await.into_iter().collect();
    let text =
        |keys: BTreeSet<&Vec<u8>>| keys.into_iter().map(|key| key.escape_ascii().to_string()).collect::<Vec<_>>();
    assert_eq!(text(found.keys().collect()), text(expected.keys().collect()));
    assert_eq!(found, expected);
}

/// The stored events in the order of their ids.
pub async fn events(db: &Database) -> Vec<TitoEvent> {
    let tx = db.begin().await.unwrap();
    let mut events: Vec<_> =
        stored(&tx, "event:").await.iter().map(|(key, value)| TitoEvent::decode(key, value).unwrap()).collect();
    events.sort_by_key(|event| event.id);
    events
}

/// The rows' ids, for short comparisons.
pub fn ids(rows: &[User]) -> Vec<&str> {
    rows.iter().map(|row| row.id.as_str()).collect()
}

/// Those of a page.
pub fn ids_of(page: &Page<User>) -> Vec<&str> {
    page.rows.iter().map(|row| row.as_ref().unwrap().id.as_str()).collect()
}
