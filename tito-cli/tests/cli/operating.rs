//! What takes long and is done by workers, who works, and what they do.

use std::time::Duration;

use serde_json::Value;
use tito_core::prelude::*;
use tito_worker::prelude::*;

use crate::support::Closed;

const REDRIVE: [&str; 7] = ["operations", "start", "redrive", "mail", "--error", "busy", "--json"];

fn id_of(operation: &Value) -> String {
    operation["id"].as_str().unwrap().to_string()
}

#[tokio::test]
async fn an_operation_is_begun_shown_and_stopped() {
    let closed = Closed::with_events().await;
    let slowly = ["--rate", "5/m", "--why", "the relay is back"];
    let begun = closed.run(&[&REDRIVE[..], &slowly].concat()).json();
    assert_eq!((&begun["rate"]["events"], &begun["rate"]["seconds"]), (&5.into(), &60.into()), "{begun}");
    assert_eq!((&begun["why"], &begun["state"]), (&"the relay is back".into(), &"waiting".into()), "{begun}");
    let id = id_of(&begun);
    let list = closed.run(&["operations", "list"]).said();
    assert!(list.contains(&id) && list.contains("redrive mail") && list.contains("waiting"), "{list}");
    assert!(closed.run(&["operations", "show", &id]).said().contains("5 in 60 s"));
    closed.run(&["operations", "wait", &id, "--for", "10ms"]).failed(5);
    assert!(closed.run(&["operations", "stop", &id]).said().contains("is stopped"));
    assert!(closed.run(&["operations", "stop", &id]).said().contains("had ended before"));
    closed.run(&["operations", "wait", &id]).failed(1);
    closed.run(&["operations", "show", "0190a000-0000-7000-8000-000000000000"]).failed(3);
}

#[tokio::test]
async fn workers_do_what_was_begun() {
    let closed = Closed::with_events().await;
    let redrive = id_of(&closed.run(&REDRIVE).json());
    let purge = ["operations", "start", "purge", "mail", "--entity", "user:ada", "--json"];
    closed.run(&purge).failed(7);
    let purge = id_of(&closed.run(&[&purge[..], &["--yes"]].concat()).json());
    let dead = ["operations", "start", "purge-dead", "mail", "--error", "of nobody", "--yes", "--json"];
    let dead = id_of(&closed.run(&dead).json());
    let db = EmbeddedBackend::open(closed.path()).await.unwrap();
    let queue = TitoQueue::new(db.clone());
    for id in [&redrive, &purge, &dead] {
        queue.operations().run(id.parse().unwrap()).await.unwrap();
    }
    db.close().await;
    for (id, done) in [(redrive, 1), (purge, 1), (dead, 0)] {
        let ended = closed.run(&["operations", "wait", &id, "--json"]).json();
        assert_eq!((&ended["state"], &ended["done"]), (&"done".into(), &done.into()), "{ended}");
    }
    let stats = closed.run(&["stats", "mail", "--json"]).json();
    let total = &stats["items"][0]["total"];
    assert_eq!((&total["pending"], &total["dead"]), (&3.into(), &0.into()), "{stats}");
}

#[tokio::test]
async fn what_is_done_is_replayed_by_an_operation() {
    let closed = Closed::with_events().await;
    let db = EmbeddedBackend::open(closed.path()).await.unwrap();
    let queue = TitoQueue::new(db.clone());
    queue.set_history("audit", Some(Duration::from_secs(86_400))).await.unwrap();
    let worker = Worker::builder(queue).subscribe("audit", |_: TitoEvent| async { Ok::<_, TitoError>(()) });
    worker.build().drain().await.unwrap();
    db.close().await;
    let replay = ["operations", "start", "replay", "audit", "--from", "yesterday", "--before", "+1h", "--json"];
    let id = id_of(&closed.run(&replay).json());
    let db = EmbeddedBackend::open(closed.path()).await.unwrap();
    TitoQueue::new(db.clone()).operations().run(id.parse().unwrap()).await.unwrap();
    db.close().await;
    assert_eq!(closed.run(&["operations", "wait", &id, "--json"]).json()["done"], 1);
    assert_eq!(closed.run(&["stats", "audit", "--json"]).json()["items"][0]["total"]["pending"], 1);
}

#[tokio::test]
async fn nothing_said_is_not_all() {
    let closed = Closed::with_events().await;
    for what in ["redrive", "purge", "purge-dead"] {
        let said = closed.run(&["operations", "start", what, "mail", "--yes"]).failed(2);
        assert!(said.contains("--all"), "{said}");
        closed.run(&["operations", "start", what, "mail", "--all", "--entity", "user:ada", "--yes"]).failed(2);
        closed.run(&["operations", "start", what, "mail", "--all", "--yes", "--rate", "0/s"]).failed(2);
    }
    closed.run(&["operations", "start", "named", "index", "--input", "{"]).failed(2);
    assert!(closed.run(&["operations", "list"]).said().contains("There is no operation"));
    let named = closed.run(&["operations", "start", "named", "index", "--input", "{\"table\":1}", "--json"]).json();
    assert_eq!(named["task"]["input"]["table"], 1, "{named}");
}

#[tokio::test]
async fn fleets_and_tables_are_listed() {
    let closed = Closed::with_events().await;
    assert!(closed.run(&["fleets"]).said().contains("There is no fleet"));
    assert!(closed.run(&["tables", "--check"]).said().contains("There is no table"));
    // Nobody works where nobody has the database open.
    closed.run(&["watch", "--limit", "1"]).failed(1);
}
