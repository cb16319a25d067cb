//! Models written by hand.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tito_core::keys;
use tito_core::prelude::*;

use crate::support::*;

/// A row of any content, with an index on a field of each type.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Place {
    id: String,
    #[serde(flatten)]
    content: serde_json::Map<String, Value>,
}

fn place(id: &str, content: Value) -> Place {
    let Value::Object(content) = content else { panic!("not an object: {content}") };
    Place { id: id.to_string(), content }
}

const BY_CITY: Index<Place, (String,)> = Index::new("by_city", false);
const BY_CODE: Index<Place, (String,)> = Index::new("by_code", false);

const TYPES: [(&str, TitoIndexBlockType); 5] = [
    ("text", TitoIndexBlockType::String),
    ("integer", TitoIndexBlockType::Integer),
    ("float", TitoIndexBlockType::Float),
    ("boolean", TitoIndexBlockType::Boolean),
    ("time", TitoIndexBlockType::DateTime),
];

fn index(name: &str, field: &str, r#type: TitoIndexBlockType) -> TitoIndexConfig {
    let fields = vec![TitoIndexField { name: field.to_string(), r#type }];
    TitoIndexConfig { condition: true, name: name.to_string(), fields }
}

impl TitoModelTrait for Place {
    fn id(&self) -> String {
        self.id.clone()
    }
    fn table(&self) -> String {
        "place".to_string()
    }
    fn indexes(&self) -> Vec<TitoIndexConfig> {
        let mut indexes = vec![
            index("by_city", "address.city", TitoIndexBlockType::String),
            index("by_code", "code", TitoIndexBlockType::String),
        ];
        indexes[1].condition = self.content.get("closed").is_none();
        indexes.extend(TYPES.map(|(name, of)| index(&format!("by_{name}"), name, of)));
        indexes
    }
    fn unique_indexes(&self) -> Vec<String> {
        vec!["by_time".to_string()]
    }
}

#[fact]
pub async fn nested_fields_and_lists_are_indexed(db: Database) {
    insert_all(
        &db,
        &[
            place("one", json!({"address": {"city": "Ulm"}})),
            place("list", json!({"address": {"city": ["Ulm", "Bonn", "Ulm", null]}})),
            place("through", json!({"address": [{"city": "Bonn"}, {"city": "Köln"}, {}]})),
            place("none", json!({"address": {"city": null}})),
            place("missing", json!({"address": "Ulm"})),
        ],
    )
    .await;
    let places = db.clone().model::<Place>();
    let tx = db.begin().await.unwrap();
    assert_eq!(places.query(BY_CITY).equals("Ulm").ids(&tx).await.unwrap(), ["list", "one"]);
    assert_eq!(places.query(BY_CITY).equals("Bonn").ids(&tx).await.unwrap(), ["list", "through"]);
    assert_eq!(places.query(BY_CITY).count(&tx).await.unwrap(), 5);
    drop(tx);
    assert_index_is_exact::<Place>(&db).await;
    db.transaction(
        |tx| async move { places.update(&place("list", json!({"address": {"city": ["Bonn"]}})), &tx).await },
    )
    .await
    .unwrap();
    assert_index_is_exact::<Place>(&db).await;
}

#[fact]
pub async fn values_of_the_wrong_type_are_refused(db: Database) {
    let places = db.clone().model::<Place>();
    let tx = db.begin().await.unwrap();
    for (field, value) in [
        ("text", json!(1)),
        ("integer", json!("1")),
        ("integer", json!(1.5)),
        ("float", json!(true)),
        ("boolean", json!("true")),
        ("time", json!("yesterday")),
        ("time", json!(0)),
        ("text", json!({"a": 1})),
        ("text", json!(["a", 1])),
    ] {
        let error = places.insert(&place("x", json!({field: value})), &tx).await.unwrap_err();
        assert!(
            matches!(&error, TitoError::InvalidIndexValue { index, reason, .. }
                if *index == format!("by_{field}") && reason.contains(field)),
            "{error}"
        );
    }
}

#[fact]
pub async fn a_condition_decides_row_by_row(db: Database) {
    insert_all(&db, &[place("open", json!({"code": "7"})), place("closed", json!({"code": "7", "closed": true}))])
        .await;
    let places = db.clone().model::<Place>();
    let tx = db.begin().await.unwrap();
    assert_eq!(places.query(BY_CODE).equals("7").ids(&tx).await.unwrap(), ["open"]);
    // A condition that changes takes the entry along although the value stays.
    places.update(&place("open", json!({"code": "7", "closed": true})), &tx).await.unwrap();
    places.update(&place("closed", json!({"code": "7"})), &tx).await.unwrap();
    assert_eq!(places.query(BY_CODE).equals("7").ids(&tx).await.unwrap(), ["closed"]);
    tx.commit().await.unwrap();
    assert_index_is_exact::<Place>(&db).await;
}

#[fact]
pub async fn a_unique_index_named_by_the_model_is_enforced(db: Database) {
    insert_all(&db, &[place("a", json!({"time": "2024-01-01T00:00:00Z"}))]).await;
    let places = db.clone().model::<Place>();
    // The same instant in another offset.
    let same = place("b", json!({"time": "2024-01-01T01:00:00+01:00"}));
    let error = db.transaction(|tx| async move { places.insert(&same, &tx).await }).await.unwrap_err();
    assert_eq!(error.violated_index(), Some(("place".to_string(), "by_time".to_string())));
}

#[fact]
pub async fn every_type_of_field_sorts_by_value(db: Database) {
    let sorted: [(&str, Vec<Value>); 5] = [
        ("text", vec![json!(""), json!("\0"), json!("A"), json!("a"), json!("a:"), json!("ab"), json!("é")]),
        ("integer", vec![json!(i64::MIN), json!(-10), json!(-9), json!(0), json!(9), json!(10), json!(u64::MAX)]),
        ("float", vec![json!(-1e300), json!(-1), json!(-0.5), json!(0), json!(0.25), json!(3), json!(1e300)]),
        ("boolean", vec![json!(false), json!(true)]),
        ("time", vec![json!("-0001-01-01T00:00:00Z"), json!("1969-12-31T23:59:59.5Z"), json!("1970-01-01T00:00:00Z")]),
    ];
    let places = db.clone().model::<Place>();
    let tx = db.begin().await.unwrap();
    for (field, values) in sorted {
        // Ids that go against the order of the values.
        let rows: Vec<_> = values
            .iter()
            .enumerate()
            .map(|(number, value)| place(&format!("{field}{}", 99 - number), json!({field: value})))
            .collect();
        for row in &rows {
            places.insert(row, &tx).await.unwrap();
        }
        let prefix = keys::index_prefix("place", &format!("by_{field}"));
        let entries = stored(&tx, std::str::from_utf8(&prefix).unwrap()).await;
        let found = entries.iter().map(|(key, value)| match keys::parse_index_entry(key) {
            Some((_, id)) if value.is_empty() => id,
            _ => String::from_utf8(value.clone()).unwrap(),
        });
        assert_eq!(found.collect::<Vec<_>>(), rows.into_iter().map(|row| row.id).collect::<Vec<_>>());
    }
}
