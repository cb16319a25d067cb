//! A program whose reactor is killed at random moments, again and again: each effect happens once.
//!
//! The test runs itself as a child process on a database directory, kills it with SIGKILL, opens the directory and checks
//! what is there.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use tito_core::clock::{Clock, SystemClock};
use tito_core::embedded::EmbeddedBackend;
use tito_core::keys::KeyRange;
use tito_core::prelude::*;
use tito_core::{BoxError, Transaction};
use tito_eventstore::{Event, EventStore, EventStoreConfig, EventStoreError, Manager, NewEvent, ReactFrom};
use tito_testkit::TestClock;
use tito_worker::prelude::*;

/// In the environment of the child: the directory.
const DIRECTORY: &str = "TITO_REACTOR_CRASH_DIRECTORY";

const ROUNDS: u32 = 12;

async fn bank(db: &Database) -> EventStore {
    let manager = Manager::new(db.clone());
    match manager.create_event_store(EventStoreConfig::new("bank")).await {
        Err(EventStoreError::StoreExists { .. }) => manager.get_event_store("bank").await.unwrap(),
        created => created.unwrap(),
    }
}

/// Counts each event, and fails now and then at first.
async fn count(event: Event, tx: Transaction) -> Result<(), BoxError> {
    let key = format!("effect:{:08}", event.sequence()).into_bytes();
    let before = tx.get(&key).await?.map_or(0, |value| value.len());
    tx.put(key, vec![b'|'; before + 1]).await?;
    if event.sequence().is_multiple_of(13) && fastrand::bool() {
        return Err("not this time".into());
    }
    Ok(())
}

async fn worker(db: &Database, bank: &EventStore) -> Worker {
    let reactor = bank.react("counter", "account", ReactFrom::First).await.unwrap();
    reactor.subscribe(Worker::builder(TitoQueue::new(db.clone())), count).build()
}

/// What the child process runs. Does nothing in a run of all tests.
#[test]
fn child_process() {
    let Ok(directory) = std::env::var(DIRECTORY) else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let db = EmbeddedBackend::open(Path::new(&directory)).await.unwrap();
        let bank = bank(&db).await;
        let serving = worker(&db, &bank).await;
        // After what the test harness has printed on this line.
        println!("\nREADY");
        tokio::spawn(async move { serving.run(std::future::pending()).await });
        for number in 0..100_000_u32 {
            bank.append(NewEvent::raw(format!("account.{}", number % 7), "changed", "data")).await.unwrap();
        }
        // Long past the kill; ends the process if there is nobody left to kill it.
        tokio::time::sleep(Duration::from_secs(30)).await;
    });
}

fn run_and_kill(directory: &Path, microseconds: u64) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "crash::child_process", "--nocapture", "--test-threads=1"])
        .env(DIRECTORY, directory)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap() == "READY"), "the child ended before it was killed");
    std::thread::sleep(Duration::from_micros(microseconds));
    child.kill().unwrap();
    assert_eq!(child.wait().unwrap().code(), None, "the child ended before it was killed");
}

/// No effect was had twice, and what the reactor has passed or has in its topic is all there is.
async fn check(db: &Database, all: bool) -> u64 {
    let bank = bank(db).await;
    let last = bank.last_sequence().await.unwrap();
    let tx = db.begin().await.unwrap();
    let effects = tx.scan(KeyRange::prefix("effect:"), 10_000_000).await.unwrap();
    let waiting = tx.scan(KeyRange::prefix("event:bank.counter:"), 10_000_000).await.unwrap().len() as u64;
    tx.rollback().await;
    for (key, value) in &effects {
        assert_eq!(value.len(), 1, "{}", String::from_utf8_lossy(key));
    }
    let position = bank.reactor("counter").await.unwrap().position;
    assert_eq!(effects.len() as u64 + waiting, position);
    if all {
        assert_eq!((position, waiting), (last, 0));
    }
    position
}

#[tokio::test]
async fn each_effect_happens_once_though_the_process_is_killed_at_any_moment() {
    let mut random = fastrand::Rng::with_seed(tito_testkit::seed());
    let directory = tempfile::tempdir().unwrap();
    for round in 0..ROUNDS {
        run_and_kill(directory.path(), random.u64(1_000..300_000));
        let db = EmbeddedBackend::open(directory.path()).await.unwrap();
        println!("round {round}: {} events", check(&db, false).await);
        db.close().await;
    }
    // Tomorrow, and the days after, when every retry is due.
    let clock = TestClock::at(SystemClock.now_millis() + 86_400_000);
    let db = EmbeddedBackend::builder().clock(clock.shared()).open(directory.path()).await.unwrap();
    let bank = bank(&db).await;
    let worker = worker(&db, &bank).await;
    loop {
        worker.drain().await.unwrap();
        // Ten attempts that fail by chance are a dead letter.
        TitoQueue::new(db.clone()).redrive_all("bank.counter").await.unwrap();
        clock.advance(Duration::from_secs(120));
        let waiting = TitoQueue::new(db.clone()).stats("bank.counter").await.unwrap().total;
        if waiting.pending + waiting.dead == 0 {
            break;
        }
    }
    let events = check(&db, true).await;
    assert!(events > 100, "the children got to do too little: {events}");
    db.close().await;
}
