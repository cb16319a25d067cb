#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::*;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Outer {
    count: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty", with = "nested")]
    list: Vec<Inner>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", with = "nested")]
    map: BTreeMap<String, Inner>,
    #[serde(default, skip_serializing_if = "Option::is_none", with = "nested")]
    option: Option<Inner>,
    #[serde(default, with = "nested")]
    one: Inner,
    #[serde(skip)]
    unknown: UnknownMembers,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Inner {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    float: Option<f64>,
    #[serde(skip)]
    unknown: UnknownMembers,
}

keeps_unknown_members!(Outer, Inner);

impl StoredRow for Outer {
    const EXPECTED: &'static str = "an outer one in JSON";

    fn check(&self) -> Result<(), BoxError> {
        if self.count > 1_000 { Err("too many".into()) } else { Ok(()) }
    }
}

fn read(text: &str) -> Outer {
    Outer::decode(b"outer:1", text.as_bytes()).unwrap()
}

fn written(row: &Outer) -> String {
    String::from_utf8(row.encode().unwrap()).unwrap()
}

#[test]
fn unknown_members_are_written_as_they_were_behind_the_known_ones() {
    let text =
        r#"{"later": [1, 0.10, {"a":null}],"count":3,"one":{"x":1.0},"n\"ew":-0.0,"list":[{"y":2},{"float":0.1}]}"#;
    let mut row = read(text);
    assert_eq!(row.unknown.iter().map(|(name, _)| name).collect::<Vec<_>>(), ["later", "n\"ew"]);
    row.count = 4;
    row.list.remove(1);
    let expected = r#"{"count":4,"list":[{"y":2}],"one":{"x":1.0},"later":[1, 0.10, {"a":null}],"n\"ew":-0.0}"#;
    assert_eq!(written(&row), expected);
}

#[test]
fn without_unknown_members_nothing_is_kept_and_nothing_added() {
    let text = r#"{"count":3,"name":"a","one":{"float":0.1}}"#;
    let row = read(text);
    assert!(row.unknown.is_empty() && row.one.unknown.is_empty());
    assert_eq!(written(&row), text);
    assert_eq!(written(&read(r#"{"count":1,"one":{"new":{}}}"#)), r#"{"count":1,"one":{"new":{}}}"#);
}

#[test]
fn what_can_not_be_read_says_where_and_what_was_expected() {
    for bytes in [
        &b""[..],
        b"[]",
        b"{}",
        b"{\"count\":-1}",
        b"{\"count\":1,\"count\":1}",
        b"{\"count\":1001}",
        b"{\"count\":1}x",
    ] {
        let error = Outer::decode(b"outer:1", bytes).unwrap_err();
        let TitoError::Malformed { key, expected, .. } = &error else { panic!("{error:?}") };
        assert_eq!((key.as_bytes(), *expected), (&b"outer:1"[..], "an outer one in JSON"));
    }
    let nan = row_of_nothing_that_json_has();
    assert!(matches!(encode("it", &nan), Err(TitoError::Unserializable { what, .. }) if what == "it"));
}

/// A map whose keys are no texts.
fn row_of_nothing_that_json_has() -> BTreeMap<Vec<u8>, u8> {
    BTreeMap::from([(vec![1], 1)])
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            members(inner).prop_map(Value::from),
        ]
    })
}

fn members(value: impl Strategy<Value = Value>) -> impl Strategy<Value = Map<String, Value>> {
    proptest::collection::btree_map(any::<String>(), value, 0..4).prop_map(Map::from_iter)
}

fn inner() -> impl Strategy<Value = Value> {
    (members(value()), proptest::option::of(any::<i32>())).prop_map(|(mut object, float)| {
        object.remove("float");
        object.extend(float.map(|float| ("float".to_string(), json!(f64::from(float) / 7.0))));
        Value::Object(object)
    })
}

/// An object that a later version has written: known members, and others at any depth.
fn outer() -> impl Strategy<Value = Value> {
    let lists = proptest::collection::vec(inner(), 0..3);
    (members(value()), 0..1_000_u64, lists, members(inner()), proptest::option::of(inner()), inner()).prop_map(
        |(mut object, count, list, map, option, one)| {
            object.extend([("count".to_string(), json!(count)), ("one".to_string(), one)]);
            object.remove("name");
            let empty = [("list", list.is_empty()), ("map", map.is_empty()), ("option", option.is_none())];
            for ((name, is_empty), value) in empty.into_iter().zip([json!(list), json!(map), json!(option)]) {
                object.remove(name);
                object.extend((!is_empty).then(|| (name.to_string(), value)));
            }
            Value::Object(object)
        },
    )
}

proptest! {
    #[test]
    fn whatever_a_later_version_stores_survives_a_change(object in outer(), count in 0..1_000_u64) {
        let mut row = read(&object.to_string());
        row.count = count;
        let again: Value = serde_json::from_str(&written(&row)).unwrap();
        let mut expected = object;
        expected["count"] = json!(count);
        prop_assert_eq!(&again, &expected);
        prop_assert_eq!(read(&written(&row)), row);
    }
}
