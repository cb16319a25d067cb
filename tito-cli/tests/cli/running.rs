//! While an application has the directory open and offers its socket.

use tito_console::serve_local;
use tito_core::prelude::*;

use crate::support::{Closed, Run, run, tito};

async fn ask(url: &str, arguments: &[&str]) -> Run {
    let mut command = tito(arguments);
    command.env("TITO_DB", url);
    tokio::task::spawn_blocking(move || run(&mut command)).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_is_asked_and_operated() {
    let closed = Closed::with_events().await;
    let db = EmbeddedBackend::open(closed.path()).await.unwrap();
    let console = serve_local(&db).await.unwrap();
    let url = closed.url();
    assert!(ask(&url, &["topics"]).await.said().contains("mail"));
    ask(&url, &["events", "publish", "mail", "user:new", "--at", "+1d"]).await.said();
    let stats = ask(&url, &["stats", "mail", "--json"]).await.json();
    assert_eq!(stats["items"][0]["total"]["scheduled"], 4);
    ask(&url, &["dead", "redrive", "mail", "--all"]).await.said();
    ask(&url, &["purge", "mail"]).await.failed(7);
    assert_eq!(ask(&url, &["purge", "mail", "--yes", "--json"]).await.json()["affected"], 5);
    ask(&url, &["topics", "mial"]).await.failed(3);
    // What only the owner of the directory can do says so.
    ask(&url, &["engine", "compact"]).await.failed(2);
    console.stop().await;
    db.close().await;
    assert!(ask(&url, &["topics"]).await.said().contains("mail"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_that_was_left_behind_is_nobodys() {
    let closed = Closed::with_events().await;
    // What a killed application leaves.
    drop(std::os::unix::net::UnixListener::bind(closed.path().join("tito.sock")).unwrap());
    closed.run(&["topics"]).said();
    closed.run(&["pause", "mail"]).said();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_database_is_backed_up_and_verified() {
    let closed = Closed::with_events().await;
    let db = EmbeddedBackend::open(closed.path()).await.unwrap();
    let console = serve_local(&db).await.unwrap();
    let (url, file) = (closed.url(), closed.beside("backup.tito"));
    let file = file.to_str().unwrap();
    assert!(ask(&url, &["backup", file]).await.said().contains("rows"));
    assert!(ask(&url, &["restore", "--check", file]).await.said().contains("0 are wrong"));
    assert!(ask(&url, &["verify"]).await.said().contains("0 are wrong"));
    assert_eq!(ask(&url, &["verify", "--json"]).await.json()["is_sound"], true);
    ask(&url, &["verify", "--repair"]).await.failed(2);
    assert!(ask(&url, &["engine", "sizes", "--json"]).await.json()["sizes"]["database_bytes"].as_u64() > Some(0));
    ask(&url, &["resume", "--restored"]).await.said();
    console.stop().await;
    db.close().await;
}
