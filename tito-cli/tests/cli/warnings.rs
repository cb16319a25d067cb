//! What the libraries below warn of, on standard error.

use serde_json::Value;
use tito_core::Transaction;
use tito_core::prelude::*;

use crate::support::Closed;

/// With a topic that can't be read, whose name would move the cursor.
async fn damaged() -> Closed {
    let closed = Closed::with_events().await;
    let db = EmbeddedBackend::open(closed.path()).await.unwrap();
    let put = |tx: Transaction| async move {
        tx.system_keys().put(b"topic:bad".to_vec(), "{\"partitions\":\"\u{1b}[2J\u{202e}\"}".into()).await
    };
    db.transaction(put).await.unwrap();
    db.close().await;
    closed
}

#[tokio::test]
async fn what_is_left_out_is_told_of_and_the_rest_is_answered() {
    let closed = damaged().await;
    let run = closed.run(&["topics"]);
    assert!(run.code == 0 && run.out.contains("mail") && !run.out.contains("warning"), "{run:#?}");
    let warned = run.err.lines().find(|line| line.starts_with("tito: warning: ")).unwrap();
    assert!(warned.contains("topic:bad"), "{warned}");
    assert!(!run.err.contains(['\u{1b}', '\u{202e}']), "{run:#?}");
}

#[tokio::test]
async fn programs_are_warned_by_a_line_of_json() {
    let closed = damaged().await;
    let run = closed.run(&["topics", "--json"]);
    assert_eq!(serde_json::from_str::<Value>(&run.out).unwrap()["items"].as_array().unwrap().len(), 2);
    let warned: Value = serde_json::from_str(run.err.lines().next().unwrap()).unwrap();
    assert_eq!(warned["warning"]["level"], "warn", "{run:#?}");
    assert!(warned["warning"]["message"].as_str().unwrap().contains("topic:bad"), "{warned}");
}

#[tokio::test]
async fn a_change_that_failed_is_told_of_once() {
    let closed = damaged().await;
    let run = closed.run(&["pause", "none"]);
    assert_eq!((run.code, run.err.lines().count()), (3, 1), "{run:#?}");
}
