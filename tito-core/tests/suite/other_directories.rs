//! A database is in the directory that was opened, whatever its path comes to name.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use tito_core::keys;
use tito_core::prelude::*;

/// Small enough that segments are begun, merged and deleted all the time.
const MEMTABLE_BYTES: usize = 20_000;

async fn open(path: impl AsRef<Path>) -> Database {
    EmbeddedBackend::builder().memtable_bytes(MEMTABLE_BYTES).open(path).await.unwrap()
}

async fn put_rows(db: &Database, table: &'static str, rows: u32) {
    for row in 0..rows {
        db.transaction(|tx| async move {
            tx.system_keys().put(keys::row(table, &row.to_string()), vec![b'x'; 1_000]).await
        })
        .await
        .unwrap();
    }
}

/// How many rows of each of the two tables there are.
async fn rows_in(db: &Database) -> [usize; 2] {
    db.transaction(|tx| async move {
        let [first, second] = ["first", "second"].map(keys::rows);
        Ok([tx.scan(first, 10_000).await?.len(), tx.scan(second, 10_000).await?.len()])
    })
    .await
    .unwrap()
}

/// Both engines write by turns, are closed, and what each directory has then is what its engine wrote.
async fn write_to_both(first: Database, second: Database, at: [&Path; 2]) {
    for _ in 0..3 {
        put_rows(&first, "first", 100).await;
        put_rows(&second, "second", 60).await;
    }
    assert!(first.backend::<EmbeddedBackend>().unwrap().sizes().await.unwrap().database_bytes > 0);
    first.close().await;
    put_rows(&second, "second", 70).await;
    second.close().await;
    for (directory, expected) in at.into_iter().zip([[100, 0], [0, 70]]) {
        let db = open(directory).await;
        assert_eq!(rows_in(&db).await, expected, "{}", directory.display());
        db.close().await;
    }
}

#[tokio::test]
async fn a_directory_renamed_under_a_running_engine_and_another_database_in_its_place() {
    let outer = tempfile::tempdir().unwrap();
    let (here, moved) = (outer.path().join("d"), outer.path().join("d.moved"));
    let first = open(&here).await;
    put_rows(&first, "first", 50).await;
    fs::rename(&here, &moved).unwrap();
    let second = open(&here).await;
    write_to_both(first, second, [&moved, &here]).await;
}

#[tokio::test]
async fn a_link_that_is_switched_to_another_database() {
    let outer = tempfile::tempdir().unwrap();
    let [link, one, other] = ["link", "one", "other"].map(|name| outer.path().join(name));
    fs::create_dir(&one).unwrap();
    symlink(&one, &link).unwrap();
    let first = open(&link).await;
    let second = open(&other).await;
    put_rows(&first, "first", 50).await;
    fs::remove_file(&link).unwrap();
    symlink(&other, &link).unwrap();
    write_to_both(first, second, [&one, &other]).await;
}

#[tokio::test]
async fn a_parent_that_is_renamed() {
    let outer = tempfile::tempdir().unwrap();
    let (before, after) = (outer.path().join("a"), outer.path().join("b"));
    let first = open(before.join("d")).await;
    put_rows(&first, "first", 50).await;
    fs::rename(&before, &after).unwrap();
    let second = open(before.join("d")).await;
    write_to_both(first, second, [&after.join("d"), &before.join("d")]).await;
}

#[tokio::test]
async fn a_directory_that_is_deleted_and_made_anew() {
    let outer = tempfile::tempdir().unwrap();
    let path = outer.path().join("d");
    let first = open(&path).await;
    put_rows(&first, "first", 50).await;
    fs::remove_dir_all(&path).unwrap();
    let second = open(&path).await;
    put_rows(&second, "second", 60).await;
    // Nothing can be created in a directory that is gone, and what is in it goes with the process: when a segment is
    // full, that ends the engine.
    let mut row = 0;
    while let Ok(tx) = first.begin().await {
        tx.system_keys().put(keys::row("first", &row.to_string()), vec![b'x'; 1_000]).await.unwrap();
        let _ = tx.commit().await;
        row += 1;
        assert!(row < 1_000, "it goes on though its directory is gone");
    }
    assert!(matches!(first.closed().await, TitoError::EngineClosed { .. }));
    put_rows(&second, "second", 60).await;
    second.close().await;
    assert_eq!(rows_in(&open(&path).await).await, [0, 60]);
}

const DIRECTORIES: &str = "TITO_TEST_DIRECTORIES";

/// The current directory is the whole process's, so it is changed in one of its own.
#[test]
fn a_relative_path_and_a_changed_current_directory() {
    let outer = tempfile::tempdir().unwrap();
    let [one, other] = ["one", "other"].map(|name| outer.path().join(name));
    fs::create_dir(&one).unwrap();
    fs::create_dir(&other).unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "other_directories::in_changing_directories", "--nocapture"]).env(DIRECTORIES, outer.path());
    let output = child.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && text.contains("BOTH WHOLE"),
        "{text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// What the other process runs. Does nothing in a run of all tests.
#[tokio::test]
async fn in_changing_directories() {
    let Some(outer) = std::env::var_os(DIRECTORIES).map(std::path::PathBuf::from) else { return };
    let [one, other] = ["one", "other"].map(|name| outer.join(name));
    std::env::set_current_dir(&other).unwrap();
    let second = open("./data").await;
    std::env::set_current_dir(&one).unwrap();
    let first = open("./data").await;
    put_rows(&first, "first", 50).await;
    std::env::set_current_dir(&other).unwrap();
    write_to_both(first, second, [&one.join("data"), &other.join("data")]).await;

    // What is asked for is what the path names at the call, not when it comes to be opened.
    std::env::set_current_dir(&one).unwrap();
    let opening = EmbeddedBackend::open("./data");
    let mut opening = std::pin::pin!(opening);
    let polled = futures::poll!(opening.as_mut());
    std::env::set_current_dir(&other).unwrap();
    let first = match polled {
        std::task::Poll::Ready(opened) => opened.unwrap(),
        std::task::Poll::Pending => opening.await.unwrap(),
    };
    assert_eq!(rows_in(&first).await, [100, 0]);
    println!("BOTH WHOLE");
}

fn modes(directory: &Path) -> BTreeMap<String, u32> {
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let mut modes = BTreeMap::from([(".".to_string(), mode(directory))]);
    for entry in fs::read_dir(directory).unwrap() {
        let entry = entry.unwrap();
        modes.insert(entry.file_name().into_string().unwrap(), mode(&entry.path()));
    }
    modes
}

#[tokio::test]
async fn what_is_created_is_its_owners_alone_unless_it_is_said_otherwise() {
    let outer = tempfile::tempdir().unwrap();
    let path = outer.path().join("a/b");
    let db = open(&path).await;
    put_rows(&db, "first", 100).await;
    assert_eq!(modes(&outer.path().join("a"))["."], 0o700);
    for (name, mode) in modes(&path) {
        assert_eq!(mode, if name == "." { 0o700 } else { 0o600 }, "{name}");
    }

    let path = outer.path().join("shared");
    let db = EmbeddedBackend::builder().modes(0o750, 0o640).memtable_bytes(MEMTABLE_BYTES).open(&path).await.unwrap();
    put_rows(&db, "first", 100).await;
    for (name, mode) in modes(&path) {
        assert_eq!(mode, if name == "." { 0o750 } else { 0o640 }, "{name}");
    }
    db.close().await;
    // What is there keeps its modes.
    open(&path).await.close().await;
    assert_eq!(modes(&path)["tito.redb"], 0o640);
}
