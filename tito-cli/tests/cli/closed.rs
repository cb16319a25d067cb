//! On a directory that nobody has open.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;
use std::time::Duration;

use tito_core::prelude::*;
use tito_eventstore::{EventStoreConfig, Manager, NewEvent};

use crate::support::{Closed, run, tito};

#[tokio::test]
async fn looking_leaves_the_directory_as_it_is() {
    let closed = Closed::with_events().await;
    let before = closed.bytes();
    for arguments in [
        &["topics"][..],
        &["topics", "mail"],
        &["stats"],
        &["stats", "mail", "--partitions"],
        &["events", "list", "mail"],
        &["dead", "list", "mail"],
        &["schedules", "list"],
        &["members", "workers"],
        &["leases", "mail"],
        &["workers"],
        &["groups", "list", "mail"],
        &["history", "mail"],
        &["verify"],
        &["engine", "sizes"],
        &["dead", "group", "mail"],
        &["events", "of", "mail", "user:ada"],
        &["owned", "ada"],
        &["erase", "ada", "--dry-run"],
        &["stores", "list"],
        &["top", "--times", "2", "--every", "100ms"],
        &["dead", "purge", "mail", "--all", "--dry-run"],
        &["purge", "mail", "--dry-run"],
    ] {
        closed.run(arguments).said();
        assert!(closed.bytes() == before, "{arguments:?} has changed the directory");
    }
}

#[tokio::test]
async fn topics_and_counts_are_told() {
    let closed = Closed::with_events().await;
    let topics = closed.run(&["topics"]).said();
    assert!(topics.contains("mail") && topics.contains("audit") && topics.starts_with("TOPIC"), "{topics}");
    let stats = closed.run(&["stats", "mail", "--json"]).json();
    let total = &stats["items"][0]["total"];
    assert_eq!((&total["scheduled"], &total["dead"]), (&3.into(), &1.into()), "{stats}");
    let topic = closed.run(&["topics", "mail", "--json"]).json();
    assert_eq!(topic["partitions"], 2);
}

#[tokio::test]
async fn a_listing_goes_on_where_it_ended() {
    let closed = Closed::with_events().await;
    let all = closed.run(&["events", "list", "mail", "--json"]).json();
    let first = closed.run(&["events", "list", "mail", "--limit", "2", "--json"]).json();
    let after = first["next"].as_str().unwrap();
    let rest = closed.run(&["events", "list", "mail", "--after", after, "--json"]).json();
    let ids = |page: &serde_json::Value| -> Vec<String> {
        page["items"].as_array().unwrap().iter().map(|item| item["event"]["id"].to_string()).collect()
    };
    assert_eq!([ids(&first), ids(&rest)].concat(), ids(&all));
    assert_eq!(ids(&all).len(), 3);
}

#[tokio::test]
async fn an_event_is_published_found_moved_and_cancelled() {
    let closed = Closed::with_events().await;
    let wide = r#"{"n":123456789012345678901234567890}"#;
    let refused = closed.run(&["events", "publish", "mail", "user:new", "--payload", wide]).failed(2);
    assert!(refused.contains("64 bits"), "not every reader takes it: {refused}");
    let payload = r#"{"n":18446744073709551615,"x":1.10,"text":"é"}"#;
    let arguments =
        ["events", "publish", "mail", "user:new", "--at", "+1d", "--payload", payload, "--header", "a=b", "--json"];
    let published = closed.run(&arguments).json();
    let id = published["id"].as_str().unwrap();
    let shown = closed.run(&["events", "show", "mail", id]).said();
    // Numbers stay as they were written.
    assert!(shown.contains(payload) && shown.contains("scheduled") && shown.contains("a: b"), "{shown}");

    let moved = closed.run(&["events", "run", "mail", id, "--json"]).json();
    assert!(moved["timestamp"].as_i64() < published["timestamp"].as_i64(), "{moved}");
    let found = closed.run(&["events", "find", "mail", id, "--json"]).json();
    assert_eq!(found["items"][0]["state"], "due");
    closed.run(&["events", "reschedule", "mail", id, "--to", "+2h"]).said();
    closed.run(&["events", "cancel", "mail", id, "--yes"]).said();
    let gone = closed.run(&["events", "show", "mail", id]).failed(3);
    assert!(gone.contains(id), "{gone}");
}

#[tokio::test]
async fn dead_letters_are_redriven_and_purged() {
    let closed = Closed::with_events().await;
    let list = closed.run(&["dead", "list", "mail"]).said();
    assert!(list.contains("user:dead") && list.contains("the server is busy"), "{list}");
    let usage = closed.run(&["dead", "redrive", "mail"]).failed(2);
    assert!(usage.contains("--all"), "{usage}");

    let rehearsed = closed.run(&["dead", "redrive", "mail", "--error", "busy", "--dry-run", "--json"]).json();
    assert_eq!(rehearsed["events"], 1);
    assert_eq!(closed.run(&["dead", "redrive", "mail", "--error", "other", "--json"]).json()["events"], 0);
    let redriven = closed.run(&["dead", "redrive", "mail", "--from", "yesterday"]).said();
    assert!(redriven.contains("1 events are due again"), "{redriven}");
    assert!(closed.run(&["dead", "list", "mail"]).said().contains("No dead letter"));
    let purged = closed.run(&["dead", "purge", "mail", "--all", "--yes", "--json"]).json();
    assert_eq!(purged["affected"], 0);
}

#[tokio::test]
async fn queues_are_paused_grouped_resized_and_purged() {
    let closed = Closed::with_events().await;
    closed.run(&["pause", "mail"]).said();
    assert!(closed.run(&["topics", "mail"]).said().contains("paused"));
    closed.run(&["resume", "mail"]).said();
    closed.run(&["groups", "add", "mail", "billing", "--start", "history"]).said();
    assert!(closed.run(&["groups", "list", "mail"]).said().contains("mail@billing"));
    closed.run(&["resize", "mail", "5"]).said();
    assert_eq!(closed.run(&["topics", "mail", "--json"]).json()["partitions"], 5);
    closed.run(&["groups", "remove", "mail", "billing", "--yes"]).said();
    assert_eq!(closed.run(&["purge", "mail", "--yes", "--json"]).json()["affected"], 3);
    assert_eq!(closed.run(&["stats", "mail", "--json"]).json()["items"][0]["total"]["pending"], 0);
}

#[tokio::test]
async fn two_at_once_wait_for_each_other() {
    let closed = Closed::with_events().await;
    let publishing: Vec<_> = (0..4)
        .map(|number| {
            let entity = format!("user:{number}");
            let mut command = tito(&["events", "publish", "audit", &entity]);
            command.env("TITO_DB", closed.url());
            std::thread::spawn(move || run(&mut command).said())
        })
        .collect();
    publishing.into_iter().for_each(|thread| drop(thread.join().unwrap()));
    assert_eq!(closed.run(&["stats", "audit", "--json"]).json()["items"][0]["total"]["pending"], 5);
}

#[tokio::test]
async fn space_is_told_and_given_back() {
    let closed = Closed::with_events().await;
    assert!(closed.run(&["engine", "sizes", "--json"]).json()["sizes"]["database_bytes"].as_u64() > Some(0));
    closed.run(&["engine", "compact"]).said();
    assert!(closed.run(&["topics"]).said().contains("mail"));
}

#[tokio::test]
async fn an_event_is_explained() {
    let closed = Closed::with_events().await;
    let of = closed.run(&["events", "of", "mail", "user:dead", "--json"]).json();
    let id = of["items"][0]["event"]["id"].as_str().unwrap();
    let explained = closed.run(&["events", "explain", "mail", id, "--entity", "user:dead"]).said();
    assert!(explained.starts_with("dead") && explained.contains("the server is busy"), "{explained}");
    assert!(closed.run(&["events", "of", "mail", "user:ada"]).said().contains("scheduled"));
    assert!(closed.run(&["events", "caused", id]).said().contains("None was found"));
}

#[tokio::test]
async fn dead_letters_are_grouped_and_redriven_by_group() {
    let closed = Closed::with_events().await;
    let groups = closed.run(&["dead", "group", "mail", "--json"]).json();
    assert_eq!(groups["items"][0]["count"], 1);
    let group = groups["items"][0]["fingerprint"].as_str().unwrap();
    assert!(closed.run(&["dead", "group", "mail"]).said().contains(group));
    assert_eq!(closed.run(&["dead", "redrive", "mail", "--group", group, "--json"]).json()["events"], 1);
}

#[tokio::test]
async fn what_belongs_to_somebody_is_erased() {
    let closed = Closed::with_events().await;
    closed.run(&["events", "publish", "mail", "user:17", "--owner", "ada", "--at", "+1d"]).said();
    assert!(closed.run(&["owned", "ada"]).said().contains("event:mail"));
    let refused = closed.run(&["erase", "ada"]).failed(7);
    assert!(refused.contains("1 rows that belong to ada"), "{refused}");
    assert!(closed.run(&["erase", "ada", "--yes"]).said().contains("1 rows erased"));
    assert!(closed.run(&["owned", "ada"]).said().contains("Nothing belongs"));
}

#[tokio::test]
async fn event_stores_are_looked_at() {
    let closed = Closed::with_events().await;
    let db = EmbeddedBackend::open(closed.path()).await.unwrap();
    let manager = Manager::new(db.clone());
    let store = manager.create_event_store(EventStoreConfig::new("orders")).await.unwrap();
    for _ in 0..3 {
        store.append(NewEvent::raw("order.1", "placed", "by ada")).await.unwrap();
    }
    manager.close().await;
    db.close().await;
    assert!(closed.run(&["stores", "list"]).said().contains("orders"));
    assert_eq!(closed.run(&["stores", "show", "orders", "--json"]).json()["last_sequence"], 3);
    assert!(closed.run(&["stores", "events", "orders"]).said().contains("order.1"));
    let tail = closed.run(&["stores", "tail", "orders", "--after", "1", "--limit", "2", "--json"]).said();
    assert_eq!(tail.lines().count(), 2, "{tail}");
    closed.run(&["stores", "projections", "orders"]).said();
    closed.run(&["reactors", "list", "orders"]).said();
    closed.run(&["stores", "show", "none"]).failed(3);
}

/// What the audit has noted: of each what happened, what, who and why.
fn audit(closed: &Closed) -> Vec<(String, String, String)> {
    let page = closed.run(&["stores", "events", "tito-audit", "--json"]).json();
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_string();
    let events = page["items"].as_array().unwrap().iter();
    events
        .map(|event| (text(&event["event_type"]), text(&event["data"]["what"]), text(&event["data"]["why"])))
        .collect()
}

#[tokio::test]
async fn every_change_of_a_closed_directory_is_audited() {
    let closed = Closed::with_events().await;
    closed.run(&["resume", "--restored", "--why", "looked at"]).said();
    closed.run(&["verify", "--repair", "--why", "a crash"]).failed(7);
    closed.run(&["verify", "--repair", "--why", "a crash", "--yes"]).said();
    let expected =
        [("asked", "resume_restore", "looked at"), ("done", "", ""), ("asked", "repair", "a crash"), ("done", "", "")];
    let expected = expected.map(|(happened, what, why)| (happened.to_string(), what.to_string(), why.to_string()));
    assert_eq!(audit(&closed), expected);
    // Whatever the environment says of who types it.
    let mut command = tito(&["pause", "mail"]);
    run(command.env("TITO_DB", closed.url()).env("USER", "somebody else").env("LOGNAME", "somebody else")).said();
    let page = closed.run(&["stores", "events", "tito-audit", "--json"]).said();
    assert!(!page.contains("somebody else"), "{page}");
}

#[tokio::test]
async fn a_store_is_followed_and_its_directory_can_be_had() {
    let closed = Closed::with_events().await;
    let append = async |number: u32| {
        let db = loop {
            match EmbeddedBackend::open(closed.path()).await {
                Ok(db) => break db,
                // For a moment, the program has it.
                Err(TitoError::DatabaseInUse { .. }) => tokio::time::sleep(Duration::from_millis(5)).await,
                Err(error) => panic!("{error}"),
            }
        };
        let manager = Manager::new(db.clone());
        let store = match manager.create_event_store(EventStoreConfig::new("orders")).await {
            Ok(store) => store,
            Err(_) => manager.get_event_store("orders").await.unwrap(),
        };
        store.append(NewEvent::raw(format!("order.{number}"), "placed", "by ada")).await.unwrap();
        manager.close().await;
        db.close().await;
    };
    append(1).await;
    let mut command = tito(&["stores", "tail", "orders", "--after", "0", "--limit", "2"]);
    let mut child = command.env("TITO_DB", closed.url()).stdout(Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(said.next().unwrap().unwrap().contains("order.1"));
    append(2).await;
    assert!(said.next().unwrap().unwrap().contains("order.2"));
    assert!(child.wait().unwrap().success());
}
