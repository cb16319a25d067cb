//! Processes that are killed: in the middle of a restore, which leaves a target that refuses to open and is gone on with, and
//! in the middle of a backup under load.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::process::{Command, Stdio};
use std::task::{Context, Poll};

use tito_backup::{BackupError, BackupOptions, Place, VerifyOptions, backup, check, restore, restore_with, verify};
use tokio::io::AsyncWrite;

use crate::support::*;

/// In the environment of the child: the directory with the backup, in which it restores.
const DIRECTORY: &str = "TITO_BACKUP_DIRECTORY";

fn paths(directory: &Path) -> [PathBuf; 2] {
    [directory.join("backup"), directory.join("restored")]
}

/// What the child process runs. Does nothing in a run of all tests.
#[test]
#[allow(clippy::print_stdout, reason = "the parent reads it")]
fn child_process() {
    let Ok(directory) = std::env::var(DIRECTORY) else { return };
    let [backup, target] = paths(Path::new(&directory));
    let bytes = std::fs::read(backup).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let tell = |progress: &tito_backup::Progress| println!("restored {}", progress.entries);
        restore_with(&bytes[..], &Place::directory(target), tell).await.unwrap();
    });
}

/// In the environment of the child: the directory with the database, of which it makes a backup while it writes.
const WRITTEN: &str = "TITO_BACKUP_WRITTEN";

/// Writes all the time, and makes backups one after the other, until it is killed.
#[test]
#[allow(clippy::print_stdout, reason = "the parent reads it")]
fn writing_process() {
    let Ok(directory) = std::env::var(WRITTEN) else { return };
    let [output, database] = paths(Path::new(&directory));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let db = open(&database).await;
        let writer = db.clone();
        tokio::spawn(async move {
            let mut count = own(&writer).await.get("count").map_or(0, |count| count.parse::<u64>().unwrap());
            loop {
                count += 1;
                let (key, text) = (format!("row/{:03}", count % 400), count.to_string());
                put(&writer, &[("count", &text), (&key, &text)]).await;
                // The pipe has it at once: what is told was committed.
                println!("wrote {count}");
            }
        });
        for number in 0_u64.. {
            let tell = |progress: &tito_backup::Progress| println!("backed up {}", progress.entries);
            let options = BackupOptions::default().block_bytes(400).on_progress(tell);
            let mut bytes = File(std::fs::File::create(&output).unwrap());
            let before = own(&db).await.get("count").cloned().unwrap_or_default();
            println!("begins {before}");
            backup(&db, &mut bytes, &options).await.unwrap();
            println!("made {number}");
        }
    });
}

/// A file that is written where its writer is.
struct File(std::fs::File);

impl AsyncWrite for File {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        Poll::Ready(self.0.write(bytes))
    }

    fn poll_flush(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(self.0.flush())
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// What was told last with these words before it.
fn told(lines: &[String], words: &str) -> Option<u64> {
    lines.iter().rev().find_map(|line| line.strip_prefix(words)?.parse().ok())
}

#[tokio::test]
async fn a_process_that_is_killed_in_the_middle_of_a_backup_loses_nothing_and_leaves_no_backup() {
    let outer = tempfile::tempdir().unwrap();
    let [output, database] = paths(outer.path());
    open(&database).await.close().await;
    let mut cut_off = 0;
    for after in [1, 9, 60, 150, 700] {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "killed::writing_process", "--nocapture"])
            .env(WRITTEN, outer.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = Vec::new();
        let mut blocks = 0;
        let mut read = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        for line in read.by_ref() {
            blocks += usize::from(line.starts_with("backed up "));
            lines.push(line);
            if blocks == after {
                break;
            }
        }
        child.kill().unwrap();
        child.wait().unwrap();
        lines.extend(read);
        // Whatever it had told is there.
        let db = open(&database).await;
        let count: u64 = own(&db).await["count"].parse().unwrap();
        assert!(count >= told(&lines, "wrote ").unwrap_or(0));
        let verified = verify(&db, &VerifyOptions::default()).await.unwrap();
        assert!(verified.is_sound(), "{verified:?}");
        // What it had written of the backup is a whole one, or refused as none.
        let bytes = std::fs::read(&output).unwrap();
        match check(&bytes[..]).await {
            Ok(_) => {}
            Err(BackupError::Damaged { .. }) => {
                cut_off += 1;
                let target = outer.path().join(format!("of {after}"));
                restore(&bytes[..], &Place::directory(&target)).await.unwrap_err();
            }
            Err(error) => panic!("{error:?}"),
        }
        let (bytes, _) = backed_up(&db, 400).await;
        let expected = own(&db).await;
        db.close().await;
        let target = outer.path().join(format!("restored {after}"));
        restore(&bytes[..], &Place::directory(&target)).await.unwrap();
        assert_eq!(own(&open(&target).await).await, expected);
    }
    assert!(cut_off > 0);
}

#[tokio::test]
async fn a_restore_whose_process_is_killed_at_any_block_is_gone_on_with() {
    let db = tito_testkit::in_memory().await.unwrap();
    for number in 0..60 {
        put(&db, &[(&format!("row/{number:02}"), &"x".repeat(number))]).await;
    }
    let expected = all(&db).await;
    let (bytes, totals) = backed_up(&db, 100).await;
    assert!(totals.blocks > 15, "{totals:?}");
    let outer = tempfile::tempdir().unwrap();
    let [backup, target] = paths(outer.path());
    std::fs::write(&backup, &bytes).unwrap();
    // Each child goes on where the one before was killed, a few blocks later.
    for after in [1, 2, 4] {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "killed::child_process", "--nocapture"])
            .env(DIRECTORY, outer.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let told = lines.map_while(Result::ok).filter(|line| line.starts_with("restored ")).nth(after);
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(told.is_some());
        assert_incomplete(&target).await;
    }
    let filled = restore(&bytes[..], &Place::directory(&target)).await.unwrap();
    assert!(filled.resumed_after > 0);
    assert_eq!(all(&open(&target).await).await, expected);
}
