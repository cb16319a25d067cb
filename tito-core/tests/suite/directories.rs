//! Directories that hold something else than a whole database: an error that names what is at fault, and nothing in
//! them is changed.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use tito_core::prelude::*;
use tito_core::{TitoError, keys};

/// Name and bytes of every file.
type Files = BTreeMap<String, Vec<u8>>;

fn files(directory: &Path) -> Files {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap());
    entries.map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap())).collect()
}

fn write(directory: &Path, files: &Files) {
    fs::create_dir_all(directory).unwrap();
    for (name, bytes) in files {
        fs::write(directory.join(name), bytes).unwrap();
    }
}

/// The files of a database that was killed: a database file, and a log that holds the last 50 rows.
async fn killed_database() -> Files {
    let directory = tempfile::tempdir().unwrap();
    let db = EmbeddedBackend::open(directory.path()).await.unwrap();
    put_rows(&db, 0..50).await;
    db.close().await;
    let db = EmbeddedBackend::open(directory.path()).await.unwrap();
    put_rows(&db, 50..100).await;
    // As a kill leaves them: read while the engine runs.
    let files = files(directory.path());
    assert!(files.keys().any(|name| name.starts_with("tito.log.")), "{:?}", files.keys());
    files
}

async fn put_rows(db: &Database, rows: std::ops::Range<u32>) {
    for row in rows {
        db.transaction(
            |tx| async move { tx.system_keys().put(keys::row("row", &row.to_string()), vec![b'x'; 500]).await },
        )
        .await
        .unwrap();
    }
}

async fn rows_in(db: &Database) -> usize {
    db.transaction(|tx| async move { Ok(tx.scan(keys::rows("row"), 1_000).await?.len()) }).await.unwrap()
}

/// Opens a directory with these files; if that fails, checks that the error is the right one and nothing was changed.
async fn open(files_before: &Files) -> Result<usize, String> {
    let directory = tempfile::tempdir().unwrap();
    write(directory.path(), files_before);
    match EmbeddedBackend::open(directory.path()).await {
        Ok(db) => Ok(rows_in(&db).await),
        Err(error) => {
            assert!(matches!(error, TitoError::InvalidDatabase { .. }), "{error:?}");
            let text = error.to_string();
            assert!(text.contains(directory.path().to_str().unwrap()), "the error names the place: {text}");
            assert_unchanged(files_before, &files(directory.path()));
            Err(text)
        }
    }
}

/// All but one byte: redb notes in its header that a file is open, before it finds that it can't be read.
fn assert_unchanged(before: &Files, after: &Files) {
    const RECOVERY_FLAG: usize = 28;
    assert_eq!(before.keys().collect::<Vec<_>>(), after.keys().collect::<Vec<_>>());
    for (name, bytes) in before {
        let now = &after[name];
        assert_eq!(now.len(), bytes.len(), "length of {name}");
        let changed = (0..bytes.len()).find(|&at| bytes[at] != now[at] && (name != "tito.redb" || at != RECOVERY_FLAG));
        assert_eq!(changed, None, "first changed byte of {name}");
    }
}

fn with(files: &Files, name: &str, bytes: Vec<u8>) -> Files {
    let mut files = files.clone();
    assert!(files.insert(name.to_string(), bytes).is_some());
    files
}

fn log_name(files: &Files) -> String {
    files.keys().find(|name| name.starts_with("tito.log.")).unwrap().clone()
}

#[tokio::test]
async fn a_killed_database_opens_with_all_its_rows() {
    assert_eq!(open(&killed_database().await).await, Ok(100));
}

#[tokio::test]
async fn a_directory_with_other_files_is_refused() {
    let foreign = Files::from([("notes.txt".to_string(), b"mine".to_vec())]);
    let error = open(&foreign).await.unwrap_err();
    assert!(error.contains("notes.txt"), "{error}");
}

#[tokio::test]
async fn a_path_that_is_a_file_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    fs::write(&file, b"mine").unwrap();
    let error = EmbeddedBackend::open(&file).await.unwrap_err();
    assert!(matches!(error, TitoError::InvalidDatabase { .. }), "{error:?}");
    assert_eq!(fs::read(&file).unwrap(), b"mine");
}

#[tokio::test]
async fn a_foreign_or_empty_database_file_is_refused() {
    for bytes in [Vec::new(), b"something else".to_vec(), vec![0; 100_000], vec![0xff; 100_000]] {
        let length = bytes.len();
        let files = Files::from([("tito.redb".to_string(), bytes)]);
        assert!(open(&files).await.is_err(), "{length} bytes");
    }
}

#[tokio::test]
async fn a_database_file_of_other_software_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("tito.redb");
    let database = redb::Database::create(&path).unwrap();
    let transaction = database.begin_write().unwrap();
    transaction.open_table(redb::TableDefinition::<u64, u64>::new("theirs")).unwrap().insert(1, 2).unwrap();
    transaction.commit().unwrap();
    drop(database);
    let error = EmbeddedBackend::open(directory.path()).await.unwrap_err().to_string();
    assert!(error.contains("not one of Tito's"), "{error}");
}

/// Rewrites what a database file says of itself.
fn with_identity(files: &Files, identity: &[u8]) -> Files {
    let directory = tempfile::tempdir().unwrap();
    write(directory.path(), files);
    let database = redb::Database::open(directory.path().join("tito.redb")).unwrap();
    let transaction = database.begin_write().unwrap();
    let table: redb::TableDefinition<'_, &str, &[u8]> = redb::TableDefinition::new("database");
    transaction.open_table(table).unwrap().insert("identity", identity).unwrap();
    transaction.commit().unwrap();
    drop(database);
    self::files(directory.path())
}

#[tokio::test]
async fn a_database_of_a_later_version_is_refused_by_its_format_and_left_as_it_is() {
    let killed = killed_database().await;
    let newer = with_identity(&killed, br#"{"format":7,"of":"later"}"#);
    let directory = tempfile::tempdir().unwrap();
    write(directory.path(), &newer);
    let error = EmbeddedBackend::open(directory.path()).await.unwrap_err();
    assert!(matches!(error, TitoError::NewerFormat { found: 7, known: 1 }), "{error:?}");
    let left = files(directory.path());
    let names = |files: &Files| files.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&left), names(&newer));
    assert_eq!(left[&log_name(&left)], newer[&log_name(&newer)]);
    let known = with_identity(&left, br#"{"format":1,"id":"018bcfe5-6800-4000-8000-000000000000"}"#);
    assert_eq!(open(&known).await, Ok(100), "nothing is missing");

    let malformed = with_identity(&killed, b"no identity");
    let directory = tempfile::tempdir().unwrap();
    write(directory.path(), &malformed);
    let error = EmbeddedBackend::open(directory.path()).await.unwrap_err();
    assert!(matches!(error, TitoError::Malformed { .. }), "{error:?}");
}

#[tokio::test]
async fn a_truncated_database_file_is_refused() {
    let files = killed_database().await;
    let whole = &files["tito.redb"];
    for length in [1, 8, 64, 320, 4_095, 4_096, 10_000, whole.len() / 2, whole.len() - 4_096] {
        let truncated = with(&files, "tito.redb", whole[..length].to_vec());
        assert!(open(&truncated).await.is_err(), "cut to {length} of {} bytes", whole.len());
    }
}

#[tokio::test]
async fn a_damaged_log_is_refused_and_a_torn_end_is_not() {
    let files = killed_database().await;
    let name = log_name(&files);
    let whole = &files[&name];
    let end = whole.iter().rposition(|&byte| byte != 0).unwrap() + 1;
    assert_eq!(open(&with(&files, &name, whole[..end - 5].to_vec())).await, Ok(99), "torn within the last group");
    for position in [0, 9, 20, 30, 200, end / 2] {
        let mut damaged = whole.clone();
        damaged[position] ^= 0x10;
        let error = open(&with(&files, &name, damaged)).await.unwrap_err();
        assert!(error.contains("log"), "byte {position}: {error}");
    }
}

#[tokio::test]
async fn a_renamed_log_segment_is_refused() {
    let mut files = killed_database().await;
    let bytes = files.remove(&log_name(&files)).unwrap();
    files.insert("tito.log.0000000009".to_string(), bytes);
    assert!(open(&files).await.is_err());
}

#[tokio::test]
async fn a_creation_that_was_killed_is_taken_up_again() {
    for bytes in [Vec::new(), b"half a da".to_vec(), vec![0; 8_192]] {
        let files = Files::from([("tito.redb.new".to_string(), bytes)]);
        assert_eq!(open(&files).await, Ok(0));
    }
}

/// Random bytes over random parts of every file: an error or a database, never a panic.
#[tokio::test]
async fn damage_anywhere_never_panics() {
    let seed = std::env::var("TITO_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(|| fastrand::u64(..));
    println!("TITO_SEED={seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let files = killed_database().await;
    for _ in 0..40 {
        let mut damaged = files.clone();
        for bytes in damaged.values_mut() {
            let used = bytes.iter().rposition(|&byte| byte != 0).unwrap_or(0) + 1;
            for _ in 0..random.usize(0..4) {
                let at = random.usize(0..used);
                let end = (at + random.usize(1..64)).min(bytes.len());
                random.fill(&mut bytes[at..end]);
            }
        }
        let directory = tempfile::tempdir().unwrap();
        write(directory.path(), &damaged);
        if let Ok(db) = EmbeddedBackend::open(directory.path()).await {
            let read = db.transaction(|tx| async move { tx.scan(keys::rows("row"), 1_000).await }).await;
            if let Err(error) = read {
                assert!(matches!(error, TitoError::Storage { .. } | TitoError::EngineClosed { .. }), "{error:?}");
            }
        }
    }
}
