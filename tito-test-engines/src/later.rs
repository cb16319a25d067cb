//! Rows as a later version of Tito may have stored them: with members that this version does not know.

#![allow(clippy::unwrap_used, clippy::panic, reason = "for tests: a panic is how they fail")]

use serde_json::{Value, json};
use tito_core::Database;
use tito_core::keys::KeyRange;

/// What a later version adds; each object says where it is.
fn of_a_later_version(pointer: &str) -> Value {
    json!({"of": pointer, "list": [1, 0.1, null, {"deep": "\u{1f388}"}]})
}

async fn rows(db: &Database, prefix: &str) -> Vec<(Vec<u8>, Value)> {
    let tx = db.begin().await.unwrap();
    let rows = tx.scan(KeyRange::prefix(prefix), 1_000).await.unwrap();
    assert!(!rows.is_empty(), "nothing is stored under {prefix}");
    rows.into_iter().map(|(key, value)| (key, serde_json::from_slice(&value).unwrap())).collect()
}

/// The prefix of the keys of an event store's rows.
pub async fn log_of(db: &Database, store: &str) -> String {
    let (_, definition) = rows(db, &format!("store:{store}")).await.remove(0);
    format!("log:{:016x}:", definition["id"].as_u64().unwrap())
}

/// Adds unknown members to the objects at these JSON pointers in each row whose key begins with `prefix`.
pub async fn add(db: &Database, prefix: &str, pointers: &[&str]) {
    for (key, mut row) in rows(db, prefix).await {
        for pointer in pointers {
            let object = row.pointer_mut(pointer).unwrap_or_else(|| panic!("nothing at {pointer}"));
            // In an event store's table of sequences, names without a dot are event types.
            object[".later"] = of_a_later_version(pointer);
        }
        db.transaction(|tx| async move { tx.system_keys().put(key, row.to_string().into_bytes()).await })
            .await
            .unwrap();
    }
}

/// Asserts that each row whose key begins with `prefix` still has the additions at these JSON pointers.
pub async fn assert_kept(db: &Database, prefix: &str, pointers: &[&str]) {
    for (key, row) in rows(db, prefix).await {
        for pointer in pointers {
            let kept = row.pointer(pointer).map(|object| &object[".later"]);
            let key = String::from_utf8_lossy(&key);
            assert_eq!(kept, Some(&of_a_later_version(pointer)), "at {pointer:?} of {key}: {row}");
        }
    }
}
