//! What can't be done, and the exit codes that say so.

use tito_core::prelude::*;

use crate::support::{Closed, run, tito};

#[test]
fn a_database_has_to_be_named_and_to_be_there() {
    let said = run(&mut tito(&["topics"])).failed(2);
    assert!(said.contains("--db") && said.contains("TITO_DB"), "{said}");
    let place = tempfile::tempdir().unwrap();
    let missing = place.path().join("none");
    let url = format!("file:{}", missing.display());
    let said = run(&mut tito(&["--db", &url, "topics"])).failed(3);
    assert!(said.contains("none"), "{said}");
    assert!(!missing.exists(), "a mistaken path is not to get an empty database");
    // A directory of something else.
    let url = format!("file:{}", place.path().display());
    run(&mut tito(&["--db", &url, "events", "publish", "mail", "user:1"])).failed(3);
    assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 0);
    run(&mut tito(&["--db", "postgres://localhost", "topics"])).failed(2);
    run(&mut tito(&["--db", "memory:", "topics"])).failed(2);
    run(&mut tito(&["topics", "--no-such-option"])).failed(2);
}

#[tokio::test]
async fn what_there_is_not_is_named() {
    let closed = Closed::with_events().await;
    let said = closed.run(&["topics", "mial"]).failed(3);
    assert!(said.starts_with("tito: ") && said.contains("mial"), "{said}");
    for arguments in [
        &["stats", "mial"][..],
        &["events", "publish", "mial", "user:1"],
        &["schedules", "show", "none"],
        &["schedules", "pause", "none"],
        &["events", "cancel", "mail", "0190a000-0000-7000-8000-000000000000", "--yes"],
        &["resize", "mial", "3"],
    ] {
        closed.run(arguments).failed(3);
    }
    assert_eq!(closed.run(&["topics", "--json"]).json()["items"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn an_error_is_json_for_programs() {
    let closed = Closed::with_events().await;
    let said = closed.run(&["topics", "mial", "--json"]).failed(3);
    let said: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!(said["error"]["code"], "not_found");
    for arguments in [&["topics", "--no-such-option", "--json"][..], &["--json", "limit", "mail"], &["--json"]] {
        let said = closed.run(arguments).failed(2);
        let said: serde_json::Value = serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said}"));
        assert_eq!(said["error"]["code"], "usage", "{arguments:?}");
    }
    assert!(closed.run(&["--help", "--json"]).said().contains("Usage"));
}

#[tokio::test]
async fn an_application_that_offers_no_socket_is_told_of() {
    let closed = Closed::with_events().await;
    let db = EmbeddedBackend::open(closed.path()).await.unwrap();
    let said = closed.run(&["topics", "--timeout", "100ms"]).failed(5);
    assert!(said.contains("serve_local"), "{said}");
    db.close().await;
    closed.run(&["topics"]).said();
}
