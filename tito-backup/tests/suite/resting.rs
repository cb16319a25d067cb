//! What a backup leaves to writers: it rests while they commit.

use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use tito_backup::{BackupError, BackupOptions, VerifyOptions, backup, verify};
use tito_core::clock::Clock;
use tito_core::prelude::*;
use tito_testkit::{Call, FaultEngine, TestClock, WithFaults};
use tokio::io::AsyncWrite;

use crate::support::*;

/// Each read takes this long.
const WORK: Duration = Duration::from_millis(100);

/// Three rows, each a block by itself, that are read slowly.
async fn slow(db: Database) -> Database {
    put(&db, &[("a", "1234567"), ("b", "1234567"), ("c", "1234567")]).await;
    let db = FaultEngine::new(db).database();
    db.faults().at(Call::Scan).always().delay(WORK);
    db
}

fn row_by_row() -> BackupOptions {
    BackupOptions::default().unlimited().block_bytes(1)
}

async fn write(db: &Database) {
    put(db.without_faults(), &[("z", "later")]).await;
}

/// Makes a call, turning the clock on, and returns what it waited for in milliseconds, one after the other. `beside` is
/// done at the beginning of each wait, and told its number.
async fn waits<T>(
    clock: &TestClock,
    call: impl Future<Output = T>,
    mut beside: impl AsyncFnMut(usize),
) -> (T, Vec<u64>) {
    let mut call = pin!(call);
    let mut waits = Vec::new();
    loop {
        tokio::select! {
            biased;
            value = &mut call => return (value, waits),
            next = clock.waited_for() => match next.saturating_sub(clock.monotonic_millis()) {
                wait @ ..60_000 => {
                    beside(waits.len()).await;
                    waits.push(wait);
                    clock.advance_to(next);
                }
                _ => tokio::task::yield_now().await,
            },
        }
    }
}

/// What a backup waits for.
async fn waits_of_backup(
    db: &Database,
    clock: &TestClock,
    options: BackupOptions,
    beside: impl AsyncFnMut(usize),
) -> Vec<u64> {
    let (totals, waits) = waits(clock, backup(db, tokio::io::sink(), &options), beside).await;
    assert_eq!((totals.as_ref().unwrap().entries, totals.unwrap().bytes), (3, 24));
    waits
}

#[fact]
pub async fn a_backup_beside_nobody_does_not_rest(db: Database, clock: TestClock) {
    let db = slow(db).await;
    // Three blocks, and the end.
    assert_eq!(waits_of_backup(&db, &clock, row_by_row(), async |_| {}).await, [100; 4]);
}

#[fact]
pub async fn a_backup_beside_writers_rests_twice_as_long_as_it_works(db: Database, clock: TestClock) {
    let db = slow(db).await;
    let found = waits_of_backup(&db, &clock, row_by_row(), async |_| write(&db).await).await;
    // Two blocks are read before the first is done. On a cluster others have the storage.
    let expected = if db.is_only_writer() { vec![100, 100, 400, 100, 200, 100, 200] } else { vec![100; 4] };
    assert_eq!(found, expected);
}

#[fact]
pub async fn a_backup_rests_only_for_work_that_others_commit_beside(db: Database, clock: TestClock) {
    let db = slow(db).await;
    let write_once = async |number| {
        if number == 2 {
            write(&db).await;
        }
    };
    let found = waits_of_backup(&db, &clock, row_by_row(), write_once).await;
    let expected = if db.is_only_writer() { vec![100, 100, 100, 200, 100] } else { vec![100; 4] };
    assert_eq!(found, expected);
}

#[fact]
pub async fn waiting_for_the_limit_is_a_rest(db: Database, clock: TestClock) {
    let db = slow(db).await;
    // A block each second.
    let options = row_by_row().bytes_per_second(8);
    let found = waits_of_backup(&db, &clock, options, async |_| write(&db).await).await;
    assert_eq!(found, [100, 100, 800, 100, 900, 100, 900]);
}

#[fact]
pub async fn a_rest_beyond_the_limit_is_kept(db: Database, clock: TestClock) {
    let db = slow(db).await;
    // A block each 250 ms.
    let options = row_by_row().bytes_per_second(32);
    let found = waits_of_backup(&db, &clock, options, async |_| write(&db).await).await;
    let rests = if db.is_only_writer() { [400, 200, 200] } else { [50, 150, 150] };
    assert_eq!(found, [100, 100, rests[0], 100, rests[1], 100, rests[2]]);
}

#[fact]
pub async fn a_verification_rests_too(db: Database, clock: TestClock) {
    let db = slow(db).await;
    let beside = async |_| write(&db).await;
    let (verified, found) = waits(&clock, verify(&db, &VerifyOptions::default()), beside).await;
    assert!(verified.unwrap().is_sound());
    let rested = found.iter().any(|wait| *wait > 100);
    assert_eq!(rested, db.is_only_writer(), "{found:?}");
}

#[fact]
pub async fn a_backup_that_is_dropped_or_closed_does_not_rest_on(db: Database, clock: TestClock) {
    let db = slow(db).await;
    if !db.is_only_writer() {
        return;
    }
    let (waits, options) = (clock.waits(), row_by_row());
    for is_closed in [false, true] {
        let mut call = Box::pin(backup(&db, tokio::io::sink(), &options));
        rests(&clock, &db, call.as_mut()).await;
        if is_closed {
            db.faults().clear();
            db.close().await;
            let error = call.await.unwrap_err();
            assert!(matches!(error.database(), Some(TitoError::EngineClosed { .. })), "{error:?}");
        } else {
            drop(call);
            assert_eq!(clock.waits(), waits);
        }
    }
}

/// Turns the clock until a backup rests.
async fn rests<T: std::fmt::Debug>(clock: &TestClock, db: &Database, mut call: Pin<&mut impl Future<Output = T>>) {
    loop {
        tokio::select! {
            biased;
            ended = &mut call => panic!("it ended: {ended:?}"),
            next = clock.waited_for() => match next.saturating_sub(clock.monotonic_millis()) {
                400 => return,
                ..60_000 => {
                    write(db).await;
                    clock.advance_to(next);
                }
                _ => tokio::task::yield_now().await,
            },
        }
    }
}

/// Takes a header, and then nothing.
struct Full(bool);

impl AsyncWrite for Full {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if std::mem::replace(&mut self.0, true) {
            return Poll::Ready(Err(io::ErrorKind::StorageFull.into()));
        }
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[fact]
pub async fn a_backup_that_fails_does_not_rest_first(db: Database, clock: TestClock) {
    let db = slow(db).await;
    let beside = async |_| write(&db).await;
    let (outcome, found) = waits(&clock, backup(&db, Full(false), &row_by_row()), beside).await;
    assert!(matches!(outcome, Err(BackupError::Stream { .. })), "{outcome:?}");
    assert_eq!(found, [100, 100]);
}
