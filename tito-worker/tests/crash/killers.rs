//! Events that really kill their process: the test runs itself as a child on a database directory, again and again as a
//! supervisor does, until the child ends by itself.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use tito_core::embedded::EmbeddedBackend;
use tito_core::event::TitoEvent;
use tito_core::keys::KeyRange;
use tito_core::prelude::*;
use tito_core::{Result, Transaction};
use tito_worker::keys;
use tito_worker::prelude::*;

/// In the environment of the child: the directory, and what kind of handler it has.
const DIRECTORY: &str = "TITO_KILLERS_DIRECTORY";
const KIND: &str = "TITO_KILLERS_KIND";

const NEIGHBOURS: usize = 50;

async fn publish(db: &Database, entities: impl IntoIterator<Item = String>) {
    let queue = &TitoQueue::new(db.clone());
    let entities: &Vec<_> = &entities.into_iter().collect();
    let publish = |tx: Transaction| async move {
        for entity in entities {
            queue.publish(Publish::new("job", entity), &tx).await?;
        }
        Ok(())
    };
    db.transaction(publish).await.unwrap();
}

async fn are_left(db: &Database) -> bool {
    let tx = db.begin().await.unwrap();
    let left = tx.scan(keys::events_of_queue("job"), 1).await.unwrap();
    tx.rollback().await;
    !left.is_empty()
}

/// How many processes died, and the entities of the dead letters.
async fn supervise(kind: &str, killers: usize) -> (u32, Vec<String>) {
    let directory = tempfile::tempdir().unwrap();
    let db = EmbeddedBackend::open(directory.path()).await.unwrap();
    publish(&db, (0..NEIGHBOURS / 2).map(|number| format!("neighbour-{number}"))).await;
    publish(&db, (0..killers).map(|number| format!("killer-{number}"))).await;
    publish(&db, (NEIGHBOURS / 2..NEIGHBOURS).map(|number| format!("neighbour-{number}"))).await;
    db.close().await;
    let mut died = 0;
    while !run_child(directory.path(), kind) {
        died += 1;
        assert!(died < 30, "it dies again and again");
    }
    let db = EmbeddedBackend::open(directory.path()).await.unwrap();
    assert!(!are_left(&db).await);
    let tx = db.begin().await.unwrap();
    let done = tx.scan(KeyRange::prefix("handled:"), 1_000).await.unwrap();
    assert_eq!(done.len(), NEIGHBOURS, "all neighbours are done");
    assert!(tx.scan(keys::processes(), 10).await.unwrap().is_empty(), "and no mark is left");
    tx.rollback().await;
    let letters = TitoQueue::new(db.clone()).dead_letters("job", 100, None).await.unwrap();
    let mut dead: Vec<_> = letters.into_iter().map(|letter| letter.event.unwrap().entity).collect();
    dead.sort();
    db.close().await;
    println!("{kind}: {died} deaths, dead letters {dead:?}");
    (died, dead)
}

/// Whether it ended by itself.
fn run_child(directory: &Path, kind: &str) -> bool {
    let status = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "killers::child_process", "--nocapture", "--test-threads=1"])
        .env(DIRECTORY, directory)
        .env(KIND, kind)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .unwrap();
    status.success()
}

/// What the child process runs. Does nothing in a run of all tests.
#[test]
fn child_process() {
    let (Ok(directory), Ok(kind)) = (std::env::var(DIRECTORY), std::env::var(KIND)) else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(work(Path::new(&directory), &kind));
}

async fn work(directory: &Path, kind: &str) {
    let db = EmbeddedBackend::open(directory).await.unwrap();
    let builder = Worker::builder(TitoQueue::new(db.clone())).schedules(false);
    let (kind, way) = kind.split_once('-').unwrap();
    let die: fn() = match way {
        "abort" => || std::process::abort(),
        "exit" => || std::process::exit(3),
        _ => || overflow(0),
    };
    let worker = match kind {
        "plain" => {
            let db = db.clone();
            builder.subscribe("job", move |event: TitoEvent| {
                let db = db.clone();
                async move {
                    let entity = &event.entity;
                    db.transaction(|tx| async move { handle(entity, die, &tx).await }).await
                }
            })
        }
        _ => builder.subscribe("job", move |event: TitoEvent, tx: Transaction| async move {
            handle(&event.entity, die, &tx).await
        }),
    };
    let done = async {
        while are_left(&db).await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    worker.build().run(done).await.unwrap();
    db.close().await;
}

async fn handle(entity: &str, die: fn(), tx: &Transaction) -> Result<()> {
    if entity.starts_with("killer") {
        die();
    }
    // As long as others take that are begun with it.
    tokio::time::sleep(Duration::from_millis(10)).await;
    tx.put(format!("handled:{entity}").into_bytes(), Vec::new()).await
}

#[allow(unconditional_recursion)]
fn overflow(depth: u64) {
    let frame = std::hint::black_box([depth; 1_024]);
    overflow(frame[0] + 1);
    std::hint::black_box(frame);
}

#[tokio::test]
async fn an_event_that_kills_its_process_is_given_up_after_five_deaths() {
    for kind in ["plain-abort", "transactional-exit", "plain-overflow"] {
        let (died, dead) = supervise(kind, 1).await;
        assert_eq!(dead, ["killer-0"], "{kind}");
        assert!(died <= 5, "{kind}: {died} deaths");
    }
}

#[tokio::test]
async fn several_events_that_kill_their_process_are_given_up_one_by_one() {
    for kind in ["transactional-abort", "plain-exit"] {
        let (died, dead) = supervise(kind, 3).await;
        assert_eq!(dead, ["killer-0", "killer-1", "killer-2"], "{kind}");
        // Each fails for good within the bound; what they had in hand together is charged to none of them.
        assert!(died <= 15, "{kind}: {died} deaths");
    }
}
