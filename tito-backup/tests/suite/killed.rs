//! A process that is killed in the middle of a restore leaves a target that refuses to open, and is gone on with.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tito_backup::{Place, restore, restore_with};

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
