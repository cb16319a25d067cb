//! Ctrl-C in the middle of what takes long.

use std::fs;
use std::io::Read as _;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tito_core::prelude::*;

use crate::support::{Closed, run, tito};

/// A database of some mebibytes, of which a limit of a few bytes a second makes no end.
async fn large() -> Closed {
    let closed = Closed::with_events().await;
    let db = EmbeddedBackend::open(closed.path()).await.unwrap();
    for number in 0..8 {
        let value = format!("\"{}\"", "x".repeat(500_000)).into_bytes();
        let key = format!("app/{number}").into_bytes();
        db.transaction(|tx| {
            let (key, value) = (key.clone(), value.clone());
            async move { tx.put(key, value).await }
        })
        .await
        .unwrap();
    }
    db.close().await;
    closed
}

fn start(command: &mut Command) -> Child {
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Types Ctrl-C once something can be seen, and again until it ends: a program that was started with the signal ignored, as
/// the background jobs of a shell are, sees it only once it listens.
fn interrupt(mut child: Child, can_be_seen: impl Fn() -> bool) -> (Option<i32>, String) {
    while !can_be_seen() {
        assert!(child.try_wait().unwrap().is_none(), "it has ended before it was seen");
        std::thread::sleep(Duration::from_millis(10));
    }
    while child.try_wait().unwrap().is_none() {
        kill_process(Pid::from_child(&child), Signal::INT).unwrap();
        std::thread::sleep(Duration::from_millis(100));
    }
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    (child.wait().unwrap().code(), said)
}

#[tokio::test]
async fn a_backup_leaves_nothing_that_looks_whole() {
    let closed = large().await;
    let place = closed.beside("backups");
    fs::create_dir(&place).unwrap();
    let file = place.join("backup.tito");
    let mut command = tito(&["backup", file.to_str().unwrap(), "--rate", "1"]);
    let child = start(command.env("TITO_DB", closed.url()));
    let is_being_written = || fs::read_dir(&place).unwrap().any(|file| file.unwrap().metadata().unwrap().len() > 0);
    let (code, said) = interrupt(child, is_being_written);
    assert_eq!((code, said.as_str()), (Some(130), "tito: interrupted\n"));
    assert_eq!(fs::read_dir(&place).unwrap().count(), 0);
    // The database can be had at once.
    closed.run(&["backup", file.to_str().unwrap()]).said();
}

#[tokio::test]
async fn a_copy_goes_on_where_it_was() {
    let closed = large().await;
    let target = closed.beside("copy");
    let to = format!("file:{}", target.display());
    let child = start(&mut tito(&["copy", &closed.url(), &to, "--rate", "1"]));
    let (code, _) = interrupt(child, || target.join("tito.redb").is_file());
    assert_eq!(code, Some(130));
    let refused = run(&mut tito(&["--db", &to, "topics"]));
    assert!(refused.code != 0 && refused.err.contains("incomplete"), "{refused:?}");
    run(&mut tito(&["copy", &closed.url(), &to])).said();
    assert!(run(&mut tito(&["--db", &to, "topics"])).said().contains("mail"));
}

#[tokio::test]
async fn a_restore_goes_on_where_it_was() {
    let closed = large().await;
    let (file, target) = (closed.beside("backup.tito"), closed.beside("restored"));
    closed.run(&["backup", file.to_str().unwrap()]).said();
    let url = format!("file:{}", target.display());
    // Its input does not end.
    let mut child = start(tito(&["--db", &url, "restore", "-"]).stdin(Stdio::piped()));
    let whole = fs::read(&file).unwrap();
    let mut input = child.stdin.take().unwrap();
    std::io::Write::write_all(&mut input, &whole[..whole.len() / 2]).unwrap();
    let (code, _) = interrupt(child, || target.join("tito.redb").is_file());
    drop(input);
    assert_eq!(code, Some(130));
    run(&mut tito(&["--db", &url, "restore", file.to_str().unwrap()])).said();
    assert!(run(&mut tito(&["--db", &url, "topics"])).said().contains("mail"));
}

#[tokio::test]
async fn verifications_and_live_views_end() {
    let closed = large().await;
    let mut command = tito(&["verify", "--rate", "1"]);
    let child = start(command.env("TITO_DB", closed.url()));
    // Nothing of it can be seen from outside: wherever it is, it ends.
    assert_eq!(interrupt(child, || true).0.unwrap_or(130), 130);
    let mut command = tito(&["top", "--every", "1h"]);
    let mut child = start(command.env("TITO_DB", closed.url()));
    let mut first = [0; 8];
    child.stdout.as_mut().unwrap().read_exact(&mut first).unwrap();
    assert_eq!(interrupt(child, || true).0, Some(130));
    closed.run(&["topics"]).said();
}

#[tokio::test]
async fn a_repair_ends_and_what_waits_does() {
    let closed = large().await;
    let begun = closed.run(&["operations", "start", "redrive", "mail", "--all", "--json"]).json();
    let id = begun["id"].as_str().unwrap();
    // Nothing of these can be seen from outside: wherever they are, they end, and the directory can be had at once.
    for arguments in [
        &["verify", "--repair", "--yes", "--rate", "1"][..],
        &["operations", "wait", id],
        &["stores", "tail", "tito-audit", "--after", "1000"],
    ] {
        let mut command = tito(arguments);
        let (code, said) = interrupt(start(command.env("TITO_DB", closed.url())), || true);
        assert_eq!(code.unwrap_or(130), 130, "{arguments:?}: {said}");
        assert!(said.is_empty() || said == "tito: interrupted\n", "{arguments:?}: {said}");
        closed.run(&["pause", "mail"]).said();
    }
}
