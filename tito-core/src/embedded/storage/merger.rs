//! The thread that merges full memtables into the database file.

use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::base::{Base, BaseSnapshot};
use super::directory::Directory;
use super::memtable::Memtable;
use super::segment;
use super::space::Space;
use crate::embedded::committer::guarded;
use crate::embedded::store::StoreResult;
use crate::timestamp::Timestamp;

/// Called after each merge, in the merging thread. It must not wait.
pub(in super::super) type OnMerged = Arc<dyn Fn() + Send + Sync>;

/// How often whoever waits for a merge looks whether the merge waits for space.
const LOOK: Duration = Duration::from_millis(20);

/// A memtable that takes no more writes.
pub(super) struct Full {
    pub(super) table: Arc<Memtable>,
    pub(super) segment: u64,
    pub(super) reserved: Timestamp,
}

/// Dropping it waits for the merges that are queued, unless they wait for space: these are left to the next opening.
pub(super) struct Merger {
    jobs: Option<Sender<Full>>,
    done: Receiver<StoreResult<BaseSnapshot>>,
    thread: Option<JoinHandle<()>>,
    space: Arc<Space>,
}

impl Merger {
    /// `log_directory` is where the segments lie whose memtables are merged, if there is a log.
    pub(super) fn start(
        base: Base,
        log_directory: Option<Directory>,
        space: Arc<Space>,
        on_merged: OnMerged,
    ) -> StoreResult<Self> {
        let (jobs, waiting) = mpsc::channel::<Full>();
        let (answers, done) = mpsc::channel();
        let thread = thread::Builder::new().name("tito-merger".to_string()).spawn(move || {
            for full in waiting {
                let merged = guarded(|| merge(&base, &full, log_directory.as_ref()));
                let failed = merged.is_err();
                // Nobody listens any more, or nothing more can be merged in order.
                let ends = answers.send(merged).is_err() || failed;
                on_merged();
                if ends {
                    return;
                }
            }
        })?;
        Ok(Self { jobs: Some(jobs), done, thread: Some(thread), space })
    }

    /// Merges a memtable after those before it.
    pub(super) fn merge(&self, full: Full) {
        // A thread that has ended has sent its error, which the next look at `done` finds.
        let _ = self.jobs.as_ref().map(|jobs| jobs.send(full));
    }

    /// The database file after the next merge, if that is done.
    pub(super) fn merged(&self) -> StoreResult<Option<BaseSnapshot>> {
        match self.done.try_recv() {
            Ok(merged) => merged.map(Some),
            Err(mpsc::TryRecvError::Empty) => Ok(None),
            Err(mpsc::TryRecvError::Disconnected) => Err("the merging thread has ended".into()),
        }
    }

    /// As [`merged`](Merger::merged), but waits for it, unless the merge itself waits for space.
    pub(super) fn wait(&self) -> StoreResult<Option<BaseSnapshot>> {
        while !self.space.is_waited_for() {
            match self.done.recv_timeout(LOOK) {
                Ok(merged) => return merged.map(Some),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Err("the merging thread has ended".into()),
            }
        }
        self.merged()
    }
}

impl Drop for Merger {
    fn drop(&mut self) {
        self.jobs = None;
        self.space.be_patient(false);
        if let Some(thread) = self.thread.take() {
            // Its panics were caught and reported.
            let _ = thread.join();
        }
    }
}

fn merge(base: &Base, full: &Full, log_directory: Option<&Directory>) -> StoreResult<BaseSnapshot> {
    base.merge(&full.table, full.segment, full.reserved)?;
    if let Some(directory) = log_directory {
        let name = segment::name_of(full.segment);
        if let Err(error) = directory.remove(&name) {
            tracing::warn!(file = name, %error, "a merged log segment can't be deleted; the next opening tries again");
        }
    }
    base.snapshot()
}
