//! The engine below, tables, and what a restore has paused.

use axum::http::Method;
use serde_json::{Value, json};
use tito_backup::{BackupOptions, Place, backup, restore};
use tito_console::api::{Affected, Code, Engine, Page, Schedule, Table, Topic};
use tito_core::Transaction;
use tito_core::prelude::*;
use tito_testkit::TestClock;
use tito_worker::{Publish, Schedule as Periodic};

use crate::support::{OPERATOR, READER, Served};

#[tokio::test]
async fn the_engine_says_which_database_it_is_and_how_much_space_that_takes() {
    let served = Served::new().await;
    let engine: Engine = served.get("/v1/engine").await;
    assert_eq!((engine.database, engine.is_only_writer), (served.db.identity().map(|identity| identity.id), true));
    assert!(!engine.is_durable, "it is in memory");
    let place = tempfile::tempdir().unwrap();
    let db = EmbeddedBackend::open(place.path()).await.unwrap();
    let on_disk = Served::of(db, TestClock::new(), |console| console);
    let engine: Engine = on_disk.get("/v1/engine").await;
    assert!(engine.is_durable && engine.sizes.unwrap().database_bytes > 0, "{engine:?}");
    on_disk.db.close().await;
    assert_eq!(on_disk.refused(Method::GET, READER, "/v1/engine", None).await.1.code, Code::Unavailable);
}

#[tokio::test]
async fn tables_are_listed_with_their_indexes_in_pages() {
    let served = Served::new().await;
    for (table, state) in [("users", "built"), ("a b", "building"), ("orders", "behind")] {
        let row =
            json!({ "indexes": { "by_email": { "fingerprint": "0123456789abcdef", "state": state } } }).to_string();
        let key = format!("catalogue:{}", table.replace(' ', "\"20"));
        let put = |tx: Transaction| async move { tx.system_keys().put(key.into_bytes(), row.into_bytes()).await };
        served.db.transaction(put).await.unwrap();
    }
    let (mut found, mut after) = (Vec::new(), String::new());
    loop {
        let page: Page<Table> = served.get(&format!("/v1/tables?limit=2{after}")).await;
        found.extend(page.items.into_iter().map(|table| (table.name, table.indexes["by_email"].clone())));
        let Some(next) = page.next else { break };
        after = format!("&after={}", next.replace('%', "%25"));
    }
    found.sort();
    let expected = [("a b", "building"), ("orders", "behind"), ("users", "built")];
    assert_eq!(found, expected.map(|(table, state)| (table.to_string(), state.to_string())));
}

#[tokio::test]
async fn what_a_restore_has_paused_goes_on() {
    let served = Served::new().await;
    served.publish(Publish::new("mail", "user:1")).await;
    served.queue.create_topic("audit", 1).await.unwrap();
    served.queue.pause("audit").await.unwrap();
    let nightly = Periodic::cron("nightly", "0 3 * * *").publishes(Publish::new("report", "system"));
    served.queue.put_schedule(nightly).await.unwrap();
    let mut bytes = Vec::new();
    backup(&served.db, &mut bytes, &BackupOptions::default()).await.unwrap();
    let place = tempfile::tempdir().unwrap();
    restore(&bytes[..], &Place::directory(place.path())).await.unwrap();

    let db = EmbeddedBackend::open(place.path()).await.unwrap();
    let restored = Served::of(db, TestClock::new(), |console| console);
    let topic: Topic = restored.get("/v1/topics/mail").await;
    assert!(topic.is_paused_by_restore);
    assert!(restored.get::<Page<Schedule>>("/v1/schedules").await.items[0].is_paused);
    let (status, _) = restored.refused(Method::POST, READER, "/v1/restore/resume", None).await;
    assert_eq!(status, 403);
    let (status, bytes) = restored.ask(Method::POST, OPERATOR, "/v1/restore/resume?why=looked+at", None).await;
    assert_eq!(status, 200);
    let resumed: Affected = serde_json::from_slice(&bytes).unwrap();
    assert_eq!(resumed.affected, 2, "a queue and a schedule");
    assert!(!restored.get::<Topic>("/v1/topics/mail").await.is_paused_by_restore);
    assert!(!restored.get::<Page<Schedule>>("/v1/schedules").await.items[0].is_paused);
    assert!(restored.get::<Topic>("/v1/topics/audit").await.is_paused, "what somebody had paused stays paused");
    assert_eq!(restored.post::<Value>("/v1/restore/resume", json!({})).await["affected"], 0);
    restored.db.close().await;
}
