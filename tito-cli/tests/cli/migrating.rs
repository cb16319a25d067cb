//! The state of models: tables and their indexes.

use serde::{Deserialize, Serialize};
use tito_console::serve_local;
use tito_core::prelude::*;
use tito_core::{BoxError, Transaction};
use tito_eventstore::{Event, EventStoreConfig, Manager, NewEvent, Projection, Projector};
use tito_worker::prelude::*;

use crate::support::{Closed, Run, run, tito};

#[derive(Clone, Serialize, Deserialize, TitoModel)]
struct User {
    id: String,
    #[tito(index(name = "by_email", unique))]
    email: String,
}

/// With three users, and an index of an earlier release beside that of their emails, which is behind.
async fn with_users() -> Closed {
    let closed = Closed::with_events().await;
    let db = EmbeddedBackend::open(closed.path()).await.unwrap();
    let users = db.model::<User>();
    db.transaction(|tx| async move {
        for id in ["ada", "grace", "linus"] {
            users.insert(&User { id: id.to_string(), email: format!("{id}@example.com") }, &tx).await?;
        }
        Ok(())
    })
    .await
    .unwrap();
    // The table has its catalogue by now.
    db.transaction(|tx| async move {
        let key = b"catalogue:user".to_vec();
        let stored = tx.get(&key).await?.unwrap_or_default();
        let mut row: serde_json::Value = serde_json::from_slice(&stored).map_err(TitoError::application)?;
        row["indexes"]["by_email"]["state"] = "behind".into();
        row["indexes"]["by_name"] = serde_json::json!({"fingerprint": "00f1c0ffee00f1c0", "state": "built"});
        tx.system_keys().put(key, row.to_string().into_bytes()).await?;
        tx.system_keys().put(b"index:user:by_name:a:ada".to_vec(), Vec::new()).await
    })
    .await
    .unwrap();
    db.close().await;
    closed
}

#[tokio::test]
async fn the_state_of_the_models_is_told_and_an_old_index_is_dropped() {
    let closed = with_users().await;
    let before = closed.bytes();
    let told = closed.run(&["migrate"]).said();
    assert!(told.contains("by_email") && told.contains("behind") && told.contains("tito index reindex"), "{told}");
    let complaint = closed.run(&["migrate", "--check"]).failed(6);
    assert!(complaint.contains("by_email") && complaint.contains("behind"), "{complaint}");
    assert!(closed.run(&["index", "list"]).said().contains("by_name"));
    assert_eq!(closed.run(&["index", "list", "--json"]).json()["items"][0]["indexes"]["by_email"], "behind");
    closed.run(&["index", "drop", "user", "by_name", "--dry-run"]).said();
    closed.run(&["index", "drop", "user", "by_name"]).failed(7);
    assert!(closed.bytes() == before, "nobody has changed it");
    closed.run(&["index", "drop", "user", "by_name", "--yes"]).said();
    closed.run(&["index", "drop", "user", "by_name", "--yes"]).failed(3);
    assert!(!closed.run(&["index", "list"]).said().contains("by_name"));
    closed.run(&["index", "reindex", "usr", "by_email"]).failed(2);
}

async fn ask(url: &str, arguments: &[&str]) -> Run {
    let mut command = tito(arguments);
    command.env("TITO_DB", url);
    tokio::task::spawn_blocking(move || run(&mut command)).await.unwrap()
}

/// As many rows as there are events.
struct Counted;

impl Projector for Counted {
    fn name(&self) -> &str {
        "counted"
    }

    async fn project(&self, _: &Event, _: &Transaction) -> Result<(), BoxError> {
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_reindexes_and_rebuilds_what_is_asked_for() {
    let closed = with_users().await;
    let db = EmbeddedBackend::open(closed.path()).await.unwrap();
    let bank = Manager::new(db.clone()).create_event_store(EventStoreConfig::new("bank")).await.unwrap();
    bank.append(NewEvent::raw("account.1", "paid", "7")).await.unwrap();
    let projection = Projection::new(&bank, Counted).await.unwrap();
    let worker = projection.subscribe(Worker::builder(TitoQueue::new(db.clone())).model::<User>()).build();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let running = tokio::spawn(async move {
        worker
            .run(async {
                let _ = stopped.await;
            })
            .await
    });
    let console = serve_local(&db).await.unwrap();
    let url = closed.url();
    for arguments in [&["index", "reindex", "user", "by_email"], &["stores", "rebuild", "bank", "counted"]] {
        let begun = ask(&url, arguments).await.said();
        let id = begun.split(' ').next().unwrap();
        let ended = ask(&url, &["operations", "wait", id, "--json"]).await.json();
        assert_eq!(ended["state"], "done", "{ended}");
    }
    ask(&url, &["operations", "start", "resume"]).await.said();
    let listed = ask(&url, &["operations", "list"]).await.said();
    assert!(listed.contains("reindex user by_email") && listed.contains("rebuild bank counted"), "{listed}");
    ask(&url, &["stores", "rebuild", "bank", "counts"]).await.failed(3);
    let states = ask(&url, &["migrate", "--json"]).await.json();
    assert_eq!(states["items"][0]["indexes"]["by_email"], "built", "{states}");
    console.stop().await;
    stop.send(()).unwrap();
    running.await.unwrap().unwrap();
    db.close().await;
}
