//! The thread that flushes full memtables into the database file.

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

/// Called after each flush, in the flushing thread. It must not wait.
pub(in crate::embedded) type OnFlushed = Arc<dyn Fn() + Send + Sync>;

/// How often whoever waits for a flush checks whether the flush waits for space.
const LOOK: Duration = Duration::from_millis(20);

/// A memtable that takes no more writes.
pub(super) struct Full {
    pub(super) table: Arc<Memtable>,
    pub(super) segment: u64,
    pub(super) reserved: Timestamp,
}

/// Dropping it waits for the queued flushes, unless they wait for space: those are left to the next opening.
pub(super) struct Flusher {
    jobs: Option<Sender<Full>>,
    done: Receiver<StoreResult<BaseSnapshot>>,
    thread: Option<JoinHandle<()>>,
    space: Arc<Space>,
}

impl Flusher {
    /// `log_directory` holds the segments of the memtables that are flushed, if there is a log.
    pub(super) fn start(
        base: Base,
        log_directory: Option<Directory>,
        space: Arc<Space>,
        on_flushed: OnFlushed,
    ) -> StoreResult<Self> {
        let (jobs, waiting) = mpsc::channel::<Full>();
        let (answers, done) = mpsc::channel();
        let thread = thread::Builder::new().name("tito-flusher".to_string()).spawn(move || {
            for full in waiting {
                let flushed = guarded(|| flush(&base, &full, log_directory.as_ref()));
                let failed = flushed.is_err();
                // Nobody listens any more, or nothing more can be flushed in order.
                let ends = answers.send(flushed).is_err() || failed;
                on_flushed();
                if ends {
                    return;
                }
            }
        })?;
        Ok(Self { jobs: Some(jobs), done, thread: Some(thread), space })
    }

    /// Flushes a memtable after those before it.
    pub(super) fn flush(&self, full: Full) {
        // A thread that has ended has sent its error, which the next look at `done` finds.
        let _ = self.jobs.as_ref().map(|jobs| jobs.send(full));
    }

    /// The database file after the next flush, if that is done.
    pub(super) fn flushed(&self) -> StoreResult<Option<BaseSnapshot>> {
        match self.done.try_recv() {
            Ok(flushed) => flushed.map(Some),
            Err(mpsc::TryRecvError::Empty) => Ok(None),
            Err(mpsc::TryRecvError::Disconnected) => Err("the flushing thread has ended".into()),
        }
    }

    /// Like [`flushed`](Flusher::flushed), but waits for it, unless the flush itself waits for space.
    pub(super) fn wait(&self) -> StoreResult<Option<BaseSnapshot>> {
        while !self.space.is_waited_for() {
            match self.done.recv_timeout(LOOK) {
                Ok(flushed) => return flushed.map(Some),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Err("the flushing thread has ended".into()),
            }
        }
        self.flushed()
    }
}

impl Drop for Flusher {
    fn drop(&mut self) {
        self.jobs = None;
        self.space.be_patient(false);
        if let Some(thread) = self.thread.take() {
            // Its panics were caught and reported.
            let _ = thread.join();
        }
    }
}

fn flush(base: &Base, full: &Full, log_directory: Option<&Directory>) -> StoreResult<BaseSnapshot> {
    base.flush(&full.table, full.segment, full.reserved)?;
    if let Some(directory) = log_directory {
        let name = segment::name_of(full.segment);
        if let Err(error) = directory.remove(&name) {
            tracing::warn!(file = name, %error, "a flushed log segment can't be deleted; the next opening tries again");
        }
    }
    base.snapshot()
}
