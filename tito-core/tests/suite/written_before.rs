//! Databases that earlier versions of Tito wrote open and behave.
//!
//! The directories in `written_before` were made by the version before databases had an identity and a log kept a
//! reserve: 20 users and a clean close; and the same with 10 more, as a kill leaves it.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use flate2::read::GzDecoder;
use serde::{Deserialize, Serialize};
use tito_core::prelude::*;
use tito_core::{Database, keys};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, TitoModel)]
#[tito(table = "user", event = "user")]
struct User {
    id: String,
    #[tito(index(name = "by_email", unique))]
    email: String,
    #[tito(index)]
    age: u32,
    score: f64,
}

fn user(number: u32) -> User {
    let (id, email) = (format!("u{number}"), format!("u{number}@example.com"));
    User { id, email, age: 20 + number % 5, score: f64::from(number) / 8.0 }
}

/// A directory as the earlier version left it.
fn unpack(name: &str) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let packed = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/written_before").join(name);
    for entry in fs::read_dir(packed).unwrap() {
        let path = entry.unwrap().path();
        let mut file = File::create(directory.path().join(path.file_stem().unwrap())).unwrap();
        io::copy(&mut GzDecoder::new(File::open(&path).unwrap()), &mut file).unwrap();
    }
    directory
}

async fn check(db: &Database, users: u32) {
    let model = db.clone().model::<User>();
    let tx = db.begin().await.unwrap();
    let all = model.rows().all(&tx).await.unwrap();
    assert_eq!(all.len(), users as usize);
    for number in 0..users {
        let expected = user(number);
        assert_eq!(model.get(&expected.id, &tx).await.unwrap(), Some(expected.clone()));
        let found = model.query(User::BY_EMAIL).equals(&expected.email).all(&tx).await.unwrap();
        assert_eq!(found, [expected]);
    }
    let events = (0..16).map(|partition| tx.scan(keys::events_of_partition("user", partition), 1_000));
    let mut count = 0;
    for events in events {
        count += events.await.unwrap().len();
    }
    assert_eq!(count, users as usize);
}

#[tokio::test]
async fn a_database_that_was_closed_opens_and_behaves() {
    let directory = unpack("closed");
    let db = EmbeddedBackend::open(directory.path()).await.unwrap();
    check(&db, 20).await;
    let model = db.clone().model::<User>();
    db.transaction(|tx| async move { model.insert(&user(20), &tx).await }).await.unwrap();
    let identity = db.identity().unwrap().clone();
    db.close().await;
    let db = EmbeddedBackend::open(directory.path()).await.unwrap();
    check(&db, 21).await;
    assert_eq!(db.identity(), Some(&identity), "it was given an identity, and keeps it");
}

#[tokio::test]
async fn a_database_that_was_killed_opens_and_behaves() {
    let directory = unpack("killed");
    for _ in 0..3 {
        let db = EmbeddedBackend::open(directory.path()).await.unwrap();
        check(&db, 30).await;
        db.close().await;
    }
}
