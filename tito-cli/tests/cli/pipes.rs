//! Output that nobody reads to its end.

use std::io::Read as _;
use std::process::Stdio;

use tito_core::prelude::*;
use tito_worker::prelude::*;

use crate::support::{Closed, publish, tito};

#[tokio::test]
async fn a_closed_pipe_ends_a_listing_quietly() {
    let closed = Closed::with_events().await;
    let mut command = tito(&["events", "list", "mail"]);
    command.env("TITO_DB", closed.url()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // As `head -0` does.
    drop(child.stdout.take());
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!((child.wait().unwrap().code(), said.as_str()), (Some(0), ""));
}

#[tokio::test]
async fn a_backup_that_nobody_reads_to_its_end_is_a_failure() {
    let closed = Closed::with_events().await;
    let db = EmbeddedBackend::open(closed.path()).await.unwrap();
    // More than a pipe holds.
    let large = "x".repeat(400_000);
    publish(&db, Publish::new("audit", "user:large").payload(&large).unwrap()).await;
    db.close().await;
    let mut command = tito(&["backup", "-"]);
    command.env("TITO_DB", closed.url()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(1));
}

#[test]
fn completions_and_the_manual_are_printed() {
    for shell in ["bash", "zsh", "fish"] {
        let script = crate::support::run(&mut tito(&["completions", shell])).said();
        assert!(script.contains("redrive"), "{shell}");
    }
    let page = crate::support::run(&mut tito(&["man"])).said();
    assert!(page.contains(".TH tito 1") && page.contains("Exit codes"), "{page}");
    let place = tempfile::tempdir().unwrap();
    crate::support::run(&mut tito(&["man", place.path().to_str().unwrap()])).said();
    assert!(place.path().join("tito-dead-redrive.1").is_file());
}

#[tokio::test]
async fn an_unsound_database_is_unsound_for_whoever_reads_nothing_of_it() {
    let closed = Closed::with_events().await;
    let db = EmbeddedBackend::open(closed.path()).await.unwrap();
    db.transaction(|tx| async move { tx.system_keys().put(b"data:user:1".to_vec(), b"{".to_vec()).await })
        .await
        .unwrap();
    db.close().await;
    closed.run(&["verify"]).failed(6);
    let mut command = tito(&["verify"]);
    command.env("TITO_DB", closed.url()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(6));
}
