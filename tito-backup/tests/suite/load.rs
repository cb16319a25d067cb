//! Backups under load: all that was committed up to the backup's timestamp, and nothing of later, whatever is cut off.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use tito_backup::{BackupError, BackupReader, Place, VerifyOptions, restore, verify};
use tito_core::Timestamp;
use tito_core::prelude::*;

use crate::support::*;

/// A commit of the load, and what it wrote: `None` where it deleted.
type Commit = (Timestamp, Vec<(String, Option<String>)>);

/// Writers that go on until they are told to stop, and note every commit.
struct Load {
    commits: Arc<Mutex<Vec<Commit>>>,
    stops: Arc<AtomicBool>,
    writers: Vec<tokio::task::JoinHandle<()>>,
}

impl Load {
    fn begin(db: &Database, random: &mut fastrand::Rng) -> Self {
        let (commits, stops) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let writers = (0..random.usize(1..5)).map(|writer| {
            let (db, commits, stops) = (db.clone(), commits.clone(), stops.clone());
            let mut random = fastrand::Rng::with_seed(random.u64(..));
            tokio::spawn(async move {
                let mut count = 0;
                while !stops.load(Ordering::SeqCst) {
                    count += 1;
                    let tx = db.begin().await.unwrap();
                    let mut writes = vec![(format!("count/{writer}"), Some(count.to_string()))];
                    for _ in 0..random.usize(1..6) {
                        let key = format!("row/{writer}/{:02}", random.u8(..40));
                        let value = (!random.u8(..4).is_multiple_of(4)).then(|| "x".repeat(random.usize(..60)));
                        writes.retain(|(written, _)| *written != key);
                        writes.push((key, value));
                    }
                    for (key, value) in writes.clone() {
                        match value {
                            Some(value) => tx.put(key.into_bytes(), value.into_bytes()).await.unwrap(),
                            None => tx.delete(key.into_bytes()).await.unwrap(),
                        }
                    }
                    let at = tx.commit().await.unwrap();
                    commits.lock().unwrap().push((at, writes));
                }
            })
        });
        let writers = writers.collect();
        Self { commits, stops, writers }
    }

    async fn until(&self, commits: usize) {
        while self.commits.lock().unwrap().len() < commits {
            tokio::task::yield_now().await;
        }
    }

    /// What was there at a timestamp, by what the writers have noted.
    async fn at(self, timestamp: Timestamp) -> Rows {
        self.stops.store(true, Ordering::SeqCst);
        for writer in self.writers {
            writer.await.unwrap();
        }
        let commits = self.commits.lock().unwrap();
        let in_order: BTreeMap<_, _> = commits.iter().filter(|(at, _)| *at < timestamp).cloned().collect();
        let mut rows = Rows::new();
        for (key, value) in in_order.into_values().flatten() {
            match value {
                Some(value) => rows.insert(key, value),
                None => rows.remove(&key),
            };
        }
        rows
    }
}

/// Where each block ends.
async fn ends_of_blocks(bytes: &[u8]) -> Vec<usize> {
    let mut reader = BackupReader::open(bytes).await.unwrap();
    let mut ends = Vec::new();
    let lengths =
        |rows: &[(Vec<u8>, Vec<u8>)]| rows.iter().map(|(key, value)| 8 + key.len() + value.len()).sum::<usize>();
    let mut all = Vec::new();
    while let Some(rows) = reader.next_block().await.unwrap() {
        all.push(21 + lengths(&rows) + 8);
    }
    let mut at = bytes.len() - 41 - all.iter().sum::<usize>();
    for length in all {
        at += length;
        ends.push(at);
    }
    ends
}

async fn round(db: &Database, seed: u64) {
    let mut random = fastrand::Rng::with_seed(seed);
    let load = Load::begin(db, &mut random);
    load.until(random.usize(1..60)).await;
    let (bytes, totals) = backed_up(db, random.usize(1..600)).await;
    let more = load.commits.lock().unwrap().len() + 5;
    load.until(more).await;
    let expected = load.at(totals.header.timestamp()).await;

    let target = tempfile::tempdir().unwrap();
    let place = Place::directory(target.path());
    // The reader is cut off at some of the blocks, one after the other, and in the middle of some.
    let mut cuts = ends_of_blocks(&bytes).await;
    random.shuffle(&mut cuts);
    cuts.truncate(4);
    cuts.sort_unstable();
    for cut in cuts {
        let cut = cut - if random.bool() { 0 } else { random.usize(1..20) };
        let error = restore(&bytes[..cut], &place).await.unwrap_err();
        assert!(matches!(error, BackupError::Damaged { .. }), "seed {seed}: {error:?}");
        assert_incomplete(target.path()).await;
    }
    let filled = restore(&bytes[..], &place).await.unwrap();
    assert_eq!(filled.entries, totals.entries, "seed {seed}");
    let restored = open(target.path()).await;
    assert_eq!(own(&restored).await, expected, "seed {seed}");
    let verified = verify(&restored, &VerifyOptions::default()).await.unwrap();
    assert!(verified.is_sound(), "seed {seed}: {verified:?}");
    assert_eq!(verified.entries, totals.entries, "seed {seed}");
    restored.close().await;
    // What this seed has written is none of the next one's.
    for (key, _) in own(db).await {
        db.transaction(|tx| async move { tx.delete(key.into_bytes()).await }).await.unwrap();
    }
}

#[fact]
pub async fn a_backup_under_load_has_what_was_committed_before_it_and_nothing_later(db: Database) {
    for seed in seeds() {
        round(&db, seed).await;
    }
}

/// The end of every block once, of one backup.
#[fact]
pub async fn a_backup_cut_off_at_each_block_is_gone_on_with(db: Database) {
    let mut random = fastrand::Rng::with_seed(tito_testkit::seed());
    let load = Load::begin(&db, &mut random);
    load.until(30).await;
    let (bytes, totals) = backed_up(&db, 150).await;
    let expected = load.at(totals.header.timestamp()).await;
    let target = tempfile::tempdir().unwrap();
    let place = Place::directory(target.path());
    for cut in ends_of_blocks(&bytes).await {
        restore(&bytes[..cut], &place).await.unwrap_err();
        assert_incomplete(target.path()).await;
    }
    restore(&bytes[..], &place).await.unwrap();
    assert_eq!(own(&open(target.path()).await).await, expected);
}
