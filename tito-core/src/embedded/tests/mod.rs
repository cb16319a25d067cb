//! The engine on a file system that fails.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

mod closing;
mod every_fault;
mod full;
mod slow;

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures::FutureExt;
use futures::future::BoxFuture;

use super::storage::{DATABASE_FILE, Faults, Operation};
use super::{EmbeddedBackend, EmbeddedBuilder};
use crate::clock::Clock;
use crate::database::Database;
use crate::error::{Result, TitoError};
use crate::keys::KeyRange;

/// In memory where the machine has a place for it: what fails here fails by the faults, and synchronising takes long.
fn directory() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

/// An engine whose file system does as `faults` says.
fn builder(faults: &Faults) -> EmbeddedBuilder {
    let mut builder = EmbeddedBackend::builder();
    builder.disk.faults = faults.clone();
    builder.disk.cache_bytes = 1 << 20;
    builder
}

async fn open(path: &Path, faults: &Faults) -> Database {
    builder(faults).open(path).await.unwrap()
}

async fn put(db: &Database, key: &str, bytes: usize) -> Result<()> {
    let tx = db.begin().await?;
    tx.put(key.as_bytes().to_vec(), vec![b'x'; bytes]).await?;
    tx.commit().await.map(drop)
}

async fn delete(db: &Database, key: &str) -> Result<()> {
    let tx = db.begin().await?;
    tx.delete(key.as_bytes().to_vec()).await?;
    tx.commit().await.map(drop)
}

async fn get(db: &Database, key: &str) -> Result<Option<usize>> {
    let tx = db.begin().await?;
    Ok(tx.get(key.as_bytes()).await?.map(|value| value.len()))
}

/// The keys of the tests' own.
async fn keys(db: &Database) -> Result<Vec<String>> {
    let tx = db.begin().await?;
    let rows = tx.scan(KeyRange::prefix("k"), 100_000).await?;
    Ok(rows.into_iter().map(|(key, _)| String::from_utf8(key).unwrap()).collect())
}

fn broken() -> io::Error {
    io::Error::other("a test broke it")
}

fn no_space() -> io::Error {
    io::ErrorKind::StorageFull.into()
}

/// No file may become larger; the database file takes no write at all.
fn fill(faults: &Faults) {
    faults.set(|operation, file| match operation {
        Operation::Grow | Operation::Create => Err(no_space()),
        Operation::Write | Operation::Resize if file == DATABASE_FILE => Err(no_space()),
        _ => Ok(()),
    });
}

/// A clock that is turned by hand, both of its parts.
#[derive(Debug, Default)]
struct HandClock(AtomicU64);

impl HandClock {
    fn at(millis: u64) -> Arc<Self> {
        Arc::new(Self(AtomicU64::new(millis)))
    }

    fn set(&self, millis: u64) {
        self.0.store(millis, Ordering::SeqCst);
    }
}

impl Clock for HandClock {
    fn now_millis(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }

    fn monotonic_millis(&self) -> u64 {
        self.now_millis()
    }

    fn wait_until_monotonic(&self, _: u64) -> BoxFuture<'static, ()> {
        std::future::pending().boxed()
    }
}

/// Blocks the next synchronisation of the log until it is opened.
struct Gate {
    open: std::sync::mpsc::Sender<()>,
    reached: tokio::sync::oneshot::Receiver<()>,
}

impl Gate {
    fn at_the_next_sync(faults: &Faults) -> Self {
        let (open, wait) = std::sync::mpsc::channel::<()>();
        let (reach, reached) = tokio::sync::oneshot::channel();
        let mut reach = Some(reach);
        faults.set(move |operation, file| {
            let is_sync = operation == Operation::Sync && file.starts_with("tito.log.");
            if let Some(reach) = reach.take_if(|_| is_sync) {
                let _ = reach.send(());
                let _ = wait.recv();
            }
            Ok(())
        });
        Self { open, reached }
    }
}
