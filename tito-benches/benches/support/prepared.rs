//! Databases that are filled once, of which every round gets a copy.

use std::fs;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tito_core::prelude::*;
use tokio::runtime::Runtime;

use super::directory;

pub struct Prepared<'a> {
    runtime: &'a Runtime,
    directory: TempDir,
}

impl<'a> Prepared<'a> {
    /// A database with what `fill` puts into it. As after a restart, everything lies in the file.
    pub fn new(runtime: &'a Runtime, fill: impl FnOnce(&Database)) -> Self {
        let directory = directory();
        let db = runtime.block_on(EmbeddedBackend::open(directory.path())).unwrap();
        fill(&db);
        runtime.block_on(db.close());
        Self { runtime, directory }
    }

    /// How long `f` takes with a copy of its own.
    pub fn timed(&self, f: impl FnOnce(&Database) -> Duration) -> Duration {
        self.timed_with_close(f).0
    }

    /// Like [`timed`](Prepared::timed), and how long it takes with the closing after it, which puts all that the log and
    /// memory hold into the database file.
    pub fn timed_with_close(&self, f: impl FnOnce(&Database) -> Duration) -> (Duration, Duration) {
        let copy = directory();
        for file in fs::read_dir(self.directory.path()).unwrap().map(Result::unwrap) {
            fs::copy(file.path(), copy.path().join(file.file_name())).unwrap();
        }
        let db = self.runtime.block_on(EmbeddedBackend::open(copy.path())).unwrap();
        let took = f(&db);
        let begin = Instant::now();
        self.runtime.block_on(db.close());
        (took, took + begin.elapsed())
    }
}
