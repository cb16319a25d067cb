//! A program that is killed at random moments, again and again, loses nothing and leaves nothing half done.
//!
//! The test runs itself as a child process on a database directory, kills it with SIGKILL, opens the directory and
//! checks what is there against what the child said it had committed. `killers` and `saga` kill theirs where they stand.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, clippy::print_stderr, missing_docs, unreachable_pub)]

mod checks;
mod child;
mod killers;
mod model;
mod saga;

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use tito_core::clock::{Clock, SystemClock};
use tito_core::embedded::EmbeddedBackend;
use tito_testkit::TestClock;

/// In the environment of the child: the directory, and what it is to do there.
const DIRECTORY: &str = "TITO_CRASH_DIRECTORY";
const MEMTABLE_BYTES: &str = "TITO_CRASH_MEMTABLE_BYTES";
const ROUND: &str = "TITO_CRASH_ROUND";

const ROUNDS: u32 = 24;

#[tokio::test]
async fn nothing_is_lost_or_done_by_halves_when_the_program_is_killed_at_any_moment() {
    let mut random = fastrand::Rng::with_seed(tito_testkit::seed());
    let directory = tempfile::tempdir().unwrap();
    let mut acknowledged = BTreeSet::new();
    for round in 0..ROUNDS {
        // Merges into the database file go on all the time with a small memtable.
        let memtable_bytes = if random.bool() { 32 << 20 } else { random.usize(16 << 10..256 << 10) };
        let before = acknowledged.len();
        // The rounds of the last kind are not checked, so that the next child has to recover the database, and is
        // killed at that.
        match round % 4 {
            0 => run_and_kill(directory.path(), round, memtable_bytes, false, random.u64(0..40_000), &mut acknowledged),
            1 => run_and_kill(directory.path(), round, memtable_bytes, true, random.u64(0..20_000), &mut acknowledged),
            _ => run_and_kill(
                directory.path(),
                round,
                memtable_bytes,
                true,
                random.u64(50_000..500_000),
                &mut acknowledged,
            ),
        }
        println!("round {round}: {} transactions acknowledged, memtable {memtable_bytes}", acknowledged.len() - before);
        if round % 4 != 3 {
            let db = EmbeddedBackend::open(directory.path()).await.unwrap();
            checks::check(&db, &acknowledged).await;
            db.close().await;
        }
    }
    assert!(acknowledged.len() > 200, "the children got to do too little: {}", acknowledged.len());

    // Tomorrow, when every retry is due.
    let clock = TestClock::at(SystemClock.now_millis() + 86_400_000);
    let db = EmbeddedBackend::builder().clock(clock.shared()).open(directory.path()).await.unwrap();
    model::worker(&db, false).drain().await.unwrap();
    checks::check(&db, &acknowledged).await;
    checks::check_everything_is_handled(&db).await;
    db.close().await;
}

/// What the child process runs. Does nothing in a run of all tests.
#[test]
fn child_process() {
    let Ok(directory) = std::env::var(DIRECTORY) else { return };
    let number = |name| std::env::var(name).unwrap().parse::<u32>().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(child::work(Path::new(&directory), number(ROUND), number(MEMTABLE_BYTES) as usize));
}

/// Runs a child and kills it some microseconds after it was started or, with `from_ready`, after it has opened the
/// database. Collects what it acknowledged.
fn run_and_kill(
    directory: &Path,
    round: u32,
    memtable_bytes: usize,
    from_ready: bool,
    microseconds: u64,
    acknowledged: &mut BTreeSet<String>,
) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child_process", "--nocapture", "--test-threads=1"])
        .env(DIRECTORY, directory)
        .env(MEMTABLE_BYTES, memtable_bytes.to_string())
        .env(ROUND, round.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (lines, received) = mpsc::channel();
    let stdout = child.stdout.take().unwrap();
    let reader = std::thread::spawn(move || {
        let mut stdout = BufReader::new(stdout);
        let mut line = String::new();
        // A line that the kill cut off ends without a line break, and says nothing.
        while stdout.read_line(&mut line).unwrap() > 0 && line.ends_with('\n') {
            let _ = lines.send(line.trim_end().to_string());
            line.clear();
        }
    });
    if from_ready {
        while received.recv().unwrap_or_else(|_| ended_by_itself(&mut child)) != "READY" {}
    }
    std::thread::sleep(Duration::from_micros(microseconds));
    child.kill().unwrap();
    let status = child.wait().unwrap();
    reader.join().unwrap();
    if status.code().is_some() {
        ended_by_itself(&mut child);
    }
    acknowledged.extend(received.iter().filter_map(|line| line.strip_prefix("COMMITTED ").map(str::to_string)));
}

fn ended_by_itself(child: &mut Child) -> ! {
    let mut errors = String::new();
    child.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
    panic!("the child ended before it was killed: {errors}");
}
