//! A database that fills its disk.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use tito_core::keys;
use tito_core::prelude::*;

use crate::disk::SmallDisk;

async fn open(disk: &SmallDisk) -> Database {
    EmbeddedBackend::builder().memtable_bytes(2 << 20).open(disk.path().join("data")).await.unwrap()
}

async fn put(db: &Database, row: u32) -> Result<(), TitoError> {
    db.transaction(|tx| async move {
        tx.system_keys().put(keys::row("row", &format!("{row:06}")), vec![b'x'; 10_000]).await
    })
    .await
}

async fn delete(db: &Database, row: u32) -> Result<(), TitoError> {
    db.transaction(|tx| async move { tx.system_keys().delete(keys::row("row", &format!("{row:06}"))).await }).await
}

async fn rows_in(db: &Database) -> usize {
    db.transaction(|tx| async move { Ok(tx.scan(keys::rows("row"), 100_000).await?.len()) }).await.unwrap()
}

async fn put_until_full(db: &Database, mut next: u32) -> u32 {
    loop {
        match put(db, next).await {
            Ok(()) => next += 1,
            Err(TitoError::StorageFull { .. }) => return next,
            Err(error) => panic!("{error:?}"),
        }
    }
}

#[tokio::test]
async fn a_database_fills_its_disk_and_goes_on() {
    let Some(disk) = SmallDisk::mount(48) else { return };
    disk.take(20);
    let db = open(&disk).await;
    // Longer than what fits into the log and the memtables.
    let rows = put_until_full(&db, 0).await;
    println!("{rows} rows of 10 kB on a disk of 48 MB");
    assert!(rows > 500, "{rows}");
    disk.fill();
    assert_eq!(rows_in(&db).await, rows as usize);
    for row in 0..100 {
        delete(&db, row).await.unwrap();
    }
    assert_eq!(rows_in(&db).await, rows as usize - 100);

    // Closed and opened while it is full.
    db.close().await;
    disk.fill();
    let db = open(&disk).await;
    assert_eq!(rows_in(&db).await, rows as usize - 100);
    delete(&db, 100).await.unwrap();
    assert!(matches!(put(&db, rows).await, Err(TitoError::StorageFull { .. })));
    put(&db, 101).await.unwrap();
    delete(&db, 101).await.unwrap();
    let left = rows_in(&db).await;

    disk.make_space();
    let all = async {
        for row in rows..rows + 50 {
            while let Err(error) = put(&db, row).await {
                assert!(matches!(error, TitoError::StorageFull { .. }), "{error:?}");
                tokio::task::yield_now().await;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(60), all).await.expect("it goes on by itself");
    db.close().await;
    assert_eq!(rows_in(&open(&disk).await).await, left + 50);
}

const DISK: &str = "TITO_TEST_DISK";

/// Killed while the disk is full, and opened while it is full.
#[tokio::test]
async fn a_database_that_was_killed_on_a_full_disk_opens_on_it() {
    let Some(disk) = SmallDisk::mount(32) else { return };
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "engine::fill_and_wait", "--nocapture"]).env(DISK, disk.path()).stdout(Stdio::piped());
    let mut child = child.spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let rows: u32 = lines.map_while(Result::ok).find_map(|line| line.strip_prefix("FULL ")?.parse().ok()).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    disk.fill();
    let db = open(&disk).await;
    assert_eq!(rows_in(&db).await, rows as usize);
    delete(&db, 0).await.unwrap();
    assert_eq!(rows_in(&db).await, rows as usize - 1);
}

/// What the process runs that is killed. Does nothing in a run of all tests.
#[tokio::test]
async fn fill_and_wait() {
    let Some(path) = std::env::var_os(DISK) else { return };
    let path = Path::new(&path).join("data");
    let db = EmbeddedBackend::builder().memtable_bytes(2 << 20).open(path).await.unwrap();
    println!("FULL {}", put_until_full(&db, 0).await);
    std::future::pending::<()>().await;
}

/// Another program takes and gives back the space, over and over.
#[tokio::test]
async fn nothing_is_lost_while_space_comes_and_goes() {
    let Some(disk) = SmallDisk::mount(64) else { return };
    let mut db = open(&disk).await;
    let mut expected = 0;
    let mut row = 0;
    for round in 0..12 {
        if round % 2 == 0 {
            disk.fill();
        } else {
            disk.make_space();
        }
        for _ in 0..60 {
            match put(&db, row).await {
                Ok(()) => expected += 1,
                Err(TitoError::StorageFull { .. }) => {}
                Err(error) => panic!("{error:?}"),
            }
            row += 1;
        }
        if round % 3 == 2 {
            db.close().await;
            db = open(&disk).await;
        }
        assert_eq!(rows_in(&db).await, expected, "round {round}");
    }
    assert!(expected >= 300, "{expected}");
}
