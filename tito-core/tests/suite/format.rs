//! Checks the vectors of `docs/format.md` by reading that page.

use std::collections::BTreeMap;
use std::path::Path;

use chrono::{DateTime, FixedOffset};
use serde_json::Value;
use tito_core::Timestamp;
use tito_core::TxOptions;
use tito_core::engine::DatabaseIdentity;
use tito_core::event::{TitoEvent, Topic, event_id};
use tito_core::keys::{self, IndexValue};
use tito_core::model::{Catalogue, IndexDefinition};
use tito_core::prelude::*;
use tito_core::row::StoredRow;
use uuid::Uuid;

struct Vector {
    line: usize,
    kind: String,
    input: String,
    expected: String,
}

fn vectors() -> Vec<Vector> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/format.md");
    let text = std::fs::read_to_string(page).unwrap();
    let mut vectors = Vec::new();
    let mut inside = false;
    for (number, line) in text.lines().enumerate() {
        if line.starts_with("```") {
            inside = line == "```vectors";
        } else if inside {
            let (kind, rest) = line.split_once(' ').unwrap();
            // What is read and written again unchanged is said once.
            let (input, expected) = rest.split_once(" => ").unwrap_or((rest, rest));
            let (kind, input, expected) = (kind.to_string(), input.to_string(), expected.to_string());
            vectors.push(Vector { line: number + 1, kind, input, expected });
        }
    }
    vectors
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

fn number<T: TryFrom<u64>>(value: &Value) -> T {
    T::try_from(value.as_u64().unwrap()).ok().unwrap()
}

fn field(kind: &str, value: &Value) -> Option<Vec<u8>> {
    let text = value.as_str()?;
    let mut out = Vec::new();
    match kind {
        "text" => text.encode(&mut out),
        "character" => text.chars().next().unwrap().encode(&mut out),
        "uuid" => text.parse::<Uuid>().unwrap().encode(&mut out),
        "integer" => match text.parse::<i128>() {
            Ok(integer) => integer.encode(&mut out),
            Err(_) => text.parse::<u128>().unwrap().encode(&mut out),
        },
        "float" => text.parse::<f64>().unwrap().encode(&mut out),
        "boolean" => text.parse::<bool>().unwrap().encode(&mut out),
        "instant" => text.parse::<DateTime<FixedOffset>>().unwrap().encode(&mut out),
        _ => return None,
    }
    .unwrap();
    Some(out)
}

fn fields(list: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    for (position, kind_and_value) in list.as_array().unwrap().iter().enumerate() {
        if position > 0 {
            keys::push_field_separator(&mut out);
        }
        out.extend(field(text(&kind_and_value[0]), &kind_and_value[1]).unwrap());
    }
    out
}

/// What Tito makes of a vector; `None` for kinds that need an engine.
fn actual(kind: &str, input: &str) -> Option<String> {
    if kind == "event_value" {
        let event = TitoEvent::decode(b"event", input.as_bytes()).unwrap();
        return Some(String::from_utf8(event.encode().unwrap()).unwrap());
    }
    if kind == "topic_text" {
        let topic = Topic::decode(b"topic", input.as_bytes()).unwrap();
        return Some(String::from_utf8(StoredRow::encode(&topic).unwrap()).unwrap());
    }
    if kind == "catalogue_text" {
        let catalogue = <Catalogue as StoredRow>::decode(b"catalogue", input.as_bytes()).unwrap();
        return Some(String::from_utf8(StoredRow::encode(&catalogue).unwrap()).unwrap());
    }
    if kind == "identity_text" {
        let identity = DatabaseIdentity::decode(input.as_bytes()).unwrap();
        return Some(String::from_utf8(identity.encode().unwrap()).unwrap());
    }
    let input: Value = serde_json::from_str(input).unwrap();
    let parsed = |value: &Value| text(value).parse::<u64>().unwrap();
    let key = match kind {
        "row" => keys::row(text(&input[0]), text(&input[1])),
        "entry" => keys::index_entry(text(&input[0]), text(&input[1]), &fields(&input[2]), text(&input[3])),
        "unique" => keys::unique_index_entry(text(&input[0]), text(&input[1]), &fields(&input[2])),
        "event" => {
            let id = text(&input[3]).parse().unwrap();
            keys::event(text(&input[0]), number(&input[1]), input[2].as_i64().unwrap(), id)
        }
        "topic" => keys::topic(text(&input)),
        "catalogue" => keys::catalogue(text(&input)),
        "fingerprint" => {
            let covers = text(&input["covers"]).to_string().into();
            let unique = input["unique"].as_bool().unwrap();
            return Some(IndexDefinition { name: "by_any".into(), unique, covers }.fingerprint());
        }
        "owned" => {
            let (owner, owned) = (text(&input[0]), text(&input[1]));
            let key = keys::owned(owner, owned.as_bytes());
            assert_eq!(keys::parse_owned(&key), Some((owner.to_string(), owned.as_bytes())));
            assert!(keys::owned_by(owner).contains(&key) && keys::all_owned().contains(&key));
            key
        }
        "marker" => keys::idempotency_marker(text(&input)),
        "partition" => return Some(keys::partition_of(text(&input[0]), number(&input[1])).to_string()),
        "event_id" => {
            let start = Timestamp::from_raw(parsed(&input[0]));
            return Some(event_id(start, parsed(&input[1]) as u32, parsed(&input[2])).to_string());
        }
        // What other crates read and write is checked by their tests.
        "dead" | "done" | "copied" | "moved" | "lease" | "member" | "process" | "dedup" | "checkpoint" | "schedule"
        | "operation" => {
            return None;
        }
        kind if kind == "store" || kind == "dropped_log" || kind.starts_with("log_") => return None,
        "topic_value" | "marker_value" | "schedule_value" | "operation_value" | "process_value" | "moved_value" => {
            return None;
        }
        kind => field(kind, &input).unwrap_or_else(|| panic!("unknown kind {kind:?}")),
    };
    Some(String::from_utf8(key).unwrap())
}

#[test]
fn every_vector_of_the_page_holds() {
    let mut seen = BTreeMap::<_, usize>::new();
    let mut wrong = Vec::new();
    for vector in vectors() {
        *seen.entry(vector.kind.clone()).or_default() += 1;
        match actual(&vector.kind, &vector.input) {
            Some(actual) if actual != vector.expected => {
                wrong.push(format!("line {}: {} {} is {actual}", vector.line, vector.kind, vector.input));
            }
            _ => {}
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let kinds = ["row", "entry", "unique", "event", "owned", "topic", "topic_text", "marker", "event_value"];
    for kind in kinds.into_iter().chain(["catalogue", "catalogue_text", "fingerprint", "identity_text"]) {
        assert!(seen.contains_key(kind), "no vector of kind {kind}");
    }
}

#[test]
fn encoded_fields_of_one_type_are_never_beginnings_of_one_another() {
    let encoded: Vec<_> = vectors()
        .into_iter()
        .filter_map(|vector| Some((field(&vector.kind, &serde_json::from_str(&vector.input).ok()?)?, vector.kind)))
        .collect();
    for (at, (left, kind)) in encoded.iter().enumerate() {
        for (right, _) in encoded[at + 1..].iter().filter(|(right, of)| of == kind && right != left) {
            assert!(!left.starts_with(right) && !right.starts_with(left), "{left:?} {right:?}");
        }
    }
}

#[tokio::test]
async fn topics_are_stored_as_the_page_says() {
    let db = EmbeddedBackend::in_memory().await.unwrap();
    for vector in vectors().into_iter().filter(|vector| vector.kind == "topic_value") {
        let name = format!("of_{}", vector.input);
        Topic::ensure(&db, &name, vector.input.parse().unwrap()).await.unwrap();
        let tx = db.begin().await.unwrap();
        assert_eq!(tx.get(&keys::topic(&name)).await.unwrap(), Some(vector.expected.into_bytes()));
    }
}

#[tokio::test]
async fn idempotency_markers_are_stored_as_the_page_says() {
    let db = EmbeddedBackend::in_memory().await.unwrap();
    let options = TxOptions::default().idempotency_key("k");
    let started =
        db.transaction_with(options, |tx| async move { Ok::<_, TitoError>(tx.start_timestamp().raw()) }).await.unwrap();
    let tx = db.begin().await.unwrap();
    let stored = tx.get(&keys::idempotency_marker("k")).await.unwrap().unwrap();
    let vector = vectors().into_iter().find(|vector| vector.kind == "marker_value").unwrap();
    let example = vector.input.trim_matches('"');
    assert_eq!(String::from_utf8(stored).unwrap(), vector.expected.replace(example, &started.to_string()));
}

/// The page has a row for each kind of key, and says which keys are Tito's.
#[test]
fn the_keys_of_the_page_are_those_that_applications_can_not_write() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/format.md");
    let text = std::fs::read_to_string(page).unwrap();
    let kinds =
        text.lines().skip_while(|line| *line != "| key | value |").skip(2).take_while(|line| line.starts_with('|'));
    let keys: Vec<&str> = kinds.map(|line| line.split('`').nth(1).unwrap()).collect();
    let mut told: Vec<&str> =
        keys.iter().map(|key| keys::reserved_prefix(key.as_bytes()).unwrap_or_else(|| panic!("{key}"))).collect();
    told.sort_unstable();
    told.dedup();
    let mut reserved: Vec<&str> = keys::reserved_prefixes().collect();
    reserved.sort_unstable();
    assert_eq!(told, reserved);
    for vector in vectors() {
        let is_key = reserved.iter().any(|prefix| *prefix != "!" && vector.expected.starts_with(prefix));
        assert_eq!(is_key, keys::reserved_prefix(vector.expected.as_bytes()).is_some_and(|prefix| prefix != "!"));
    }
}
