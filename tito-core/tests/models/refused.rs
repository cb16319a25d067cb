//! What JSON has no form for, or could not give back, is refused before anything is written.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tito_core::prelude::*;

use crate::support::*;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, TitoModel)]
#[tito(event = "measure")]
struct Measure {
    id: String,
    #[tito(index)]
    name: String,
    value: f64,
    single: f32,
    option: Option<f64>,
    many: Vec<Inner>,
    by_name: BTreeMap<String, f64>,
    pair: (f64, f64),
    any: Value,
    large: u128,
    either: Either,
    #[serde(flatten)]
    more: More,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Inner {
    value: Option<f64>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct More {
    huge: Option<u128>,
    counts: BTreeMap<u32, u32>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
enum Either {
    Number(u128),
    Text(String),
}

impl Default for Either {
    fn default() -> Self {
        Self::Text(String::new())
    }
}

fn nested(depth: usize) -> Value {
    (0..depth).fold(json!(1), |inner, level| if level % 2 == 0 { json!([inner]) } else { json!({ "a": inner }) })
}

/// Rows that can't be stored, with the path that the error names.
fn bad() -> Vec<(Measure, &'static str)> {
    let good = || Measure { id: "m".to_string(), ..Measure::default() };
    let inner = |value| Inner { value };
    vec![
        (Measure { value: f64::INFINITY, ..good() }, "value"),
        (Measure { value: f64::NEG_INFINITY, ..good() }, "value"),
        (Measure { value: f64::NAN, ..good() }, "value"),
        (Measure { single: f32::NAN, ..good() }, "single"),
        (Measure { single: f32::INFINITY, ..good() }, "single"),
        (Measure { option: Some(f64::NAN), ..good() }, "option"),
        (Measure { many: vec![inner(None), inner(Some(f64::NAN))], ..good() }, "many[1].value"),
        (Measure { by_name: BTreeMap::from([("x".to_string(), f64::INFINITY)]), ..good() }, "by_name.x"),
        (Measure { pair: (0.0, f64::NAN), ..good() }, "pair[1]"),
        (Measure { any: nested(127), ..good() }, "any"),
        (Measure { any: nested(1_000), ..good() }, "any"),
        (Measure { either: Either::Number(u128::MAX), ..good() }, "either"),
        (Measure { more: More { huge: Some(u128::MAX), ..More::default() }, ..good() }, ""),
        (Measure { more: More { counts: BTreeMap::from([(1, 1)]), ..More::default() }, ..good() }, ""),
    ]
}

#[fact]
pub async fn a_row_that_could_not_be_read_again_is_refused(db: Database) {
    let good = Measure { id: "m".to_string(), any: nested(126), large: u128::MAX, ..Measure::default() };
    insert_all(&db, &[Measure { id: "other".to_string(), ..good.clone() }, good.clone()]).await;
    let measures = db.model::<Measure>();
    let tx = db.begin().await.unwrap();
    let before = stored(&tx, "").await;
    for (row, path) in bad() {
        let new = Measure { id: "new".to_string(), ..row.clone() };
        for error in [
            measures.insert(&new, &tx).await.unwrap_err(),
            measures.update(&row, &tx).await.unwrap_err(),
            measures.upsert(&row, &tx).await.unwrap_err(),
            measures.build_with_options(new, TitoOptions::with_events(TitoOperation::Insert), &tx).await.unwrap_err(),
        ] {
            let TitoError::Unserializable { what, path: named, .. } = &error else { panic!("{row:?}: {error:?}") };
            assert!(what.contains("of table \"measure\""), "{what}");
            assert!(named.starts_with(path), "{named:?} is not {path:?}: {error}");
            assert!(error.to_string().contains(path), "{error}");
        }
    }
    tx.commit().await.unwrap();
    // Nothing of it is stored, and the table works.
    let tx = db.begin().await.unwrap();
    assert_eq!(stored(&tx, "").await, before);
    assert_eq!(measures.rows().count(&tx).await.unwrap(), 2);
    assert_eq!(measures.get("m", &tx).await.unwrap(), Some(good));
}

/// A row with text that is JSON already.
#[derive(Clone, Debug, Serialize, Deserialize, TitoModel)]
#[tito(event = "envelope")]
struct Envelope {
    id: String,
    raw: Box<RawValue>,
    option: Option<Box<RawValue>>,
    many: Vec<Box<RawValue>>,
    wide: BTreeMap<u128, i128>,
}

fn raw(text: &str) -> Box<RawValue> {
    RawValue::from_string(text.to_string()).unwrap()
}

#[fact]
pub async fn json_in_a_row_is_read_back_byte_by_byte_or_refused_with_its_field(db: Database) {
    let envelopes = db.model::<Envelope>();
    let good = |id: &str| Envelope {
        id: id.to_string(),
        raw: raw("0"),
        option: None,
        many: Vec::new(),
        wide: BTreeMap::from([(u128::MAX, i128::MIN), (0, i128::MAX)]),
    };
    let deep = nested(125).to_string();
    let texts = [
        "340282366920938463463374607431768211455",
        "-99999999999999999999999999999999999999999999",
        r#"{"a":1,"a":2, "b" : 1.10 ,"c":"\ud83c\udf88"}"#,
        "0.10000000000000000000000000001",
        " [ ] ",
        &deep,
    ];
    for (number, text) in texts.into_iter().enumerate() {
        let good = good(&number.to_string());
        let row = Envelope { raw: raw(text), option: Some(raw(text)), many: vec![raw("1"), raw(text)], ..good };
        insert_all(&db, std::slice::from_ref(&row)).await;
        let tx = db.begin().await.unwrap();
        let read = envelopes.get(&row.id, &tx).await.unwrap().unwrap();
        let all = [&read.raw, read.option.as_ref().unwrap(), &read.many[1]];
        assert_eq!(all.map(|one| one.get()), [raw(text).get(); 3]);
        assert_eq!(read.wide, row.wide);
        // As it was read, it can be written again.
        envelopes.update(&read, &tx).await.unwrap();
        tx.commit().await.unwrap();
    }
    let tx = db.begin().await.unwrap();
    let too_deep = nested(127).to_string();
    let before = stored(&tx, "").await;
    for text in ["1e400", "-1e400", &too_deep] {
        for (row, path) in [
            (Envelope { raw: raw(text), ..good("bad") }, "raw"),
            (Envelope { option: Some(raw(text)), ..good("bad") }, "option"),
            (Envelope { many: vec![raw("1"), raw(text)], ..good("bad") }, "many[1]"),
        ] {
            let error = envelopes.insert(&row, &tx).await.unwrap_err();
            let TitoError::Unserializable { path: named, .. } = &error else { panic!("{text}: {error:?}") };
            assert_eq!(named, path, "{error}");
        }
    }
    assert_eq!(stored(&tx, "").await, before);
    assert_eq!(envelopes.rows().count(&tx).await.unwrap(), texts.len() as u64);
}
