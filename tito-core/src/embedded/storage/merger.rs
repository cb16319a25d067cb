//! The thread that merges full memtables into the database file, while commits go on.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::{self, JoinHandle};

use super::base::{Base, BaseSnapshot};
use super::log;
use super::memtable::Memtable;
use crate::embedded::committer::guarded;
use crate::embedded::store::StoreResult;
use crate::timestamp::Timestamp;

/// A memtable that takes no more writes.
pub(super) struct Full {
    pub(super) table: Arc<Memtable>,
    pub(super) segment: u64,
    pub(super) reserved: Timestamp,
}

pub(super) struct Merger {
    jobs: Option<Sender<Full>>,
    done: Receiver<StoreResult<BaseSnapshot>>,
    thread: Option<JoinHandle<()>>,
}

impl Merger {
    /// `log_directory` is where the segments lie whose memtables are merged, if there is a log.
    pub(super) fn start(base: Base, log_directory: Option<PathBuf>) -> StoreResult<Self> {
        let (jobs, waiting) = mpsc::channel::<Full>();
        let (answers, done) = mpsc::channel();
        let thread = thread::Builder::new().name("tito-merger".to_string()).spawn(move || {
            for full in waiting {
                let merged = guarded(|| merge(&base, &full, log_directory.as_ref()));
                let failed = merged.is_err();
                // Nobody listens any more, or nothing more can be merged in order.
                if answers.send(merged).is_err() || failed {
                    return;
                }
            }
        })?;
        Ok(Self { jobs: Some(jobs), done, thread: Some(thread) })
    }

    /// Merges a memtable after those before it.
    pub(super) fn merge(&self, full: Full) {
        // A thread that has ended has sent its error, which the next look at `done` finds.
        let _ = self.jobs.as_ref().map(|jobs| jobs.send(full));
    }

    /// The database file after the next merge, if that is done. Waits for it with `wait`.
    pub(super) fn merged(&self, wait: bool) -> StoreResult<Option<BaseSnapshot>> {
        if wait {
            return self.done.recv().map_err(|_| "the merging thread has ended")?.map(Some);
        }
        match self.done.try_recv() {
            Ok(merged) => merged.map(Some),
            Err(mpsc::TryRecvError::Empty) => Ok(None),
            Err(mpsc::TryRecvError::Disconnected) => Err("the merging thread has ended".into()),
        }
    }
}

impl Drop for Merger {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            // Its panics were caught and reported.
            let _ = thread.join();
        }
    }
}

fn merge(base: &Base, full: &Full, log_directory: Option<&PathBuf>) -> StoreResult<BaseSnapshot> {
    base.merge(&full.table, full.segment, full.reserved)?;
    if let Some(directory) = log_directory {
        log::remove(directory, full.segment)?;
    }
    base.snapshot()
}
