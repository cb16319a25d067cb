//! Waits while the file system has no space for writes of the database file.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long a write waits before it is tried again. A full disk does not say when it has space.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// How often a wait is logged.
const REMINDER: Duration = Duration::from_secs(60);

/// Whether a file system refused a write for want of space: the disk's, the user's quota or the largest size of a file.
pub(in crate::embedded) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge)
}

/// Waits for space on behalf of redb, for which a failed write is final: it answers every later call with an error,
/// even reads.
///
/// While a database is opened or closed nothing waits: the error is passed on.
#[derive(Debug, Default)]
pub(in crate::embedded) struct Space {
    is_patient: Mutex<bool>,
    changed: Condvar,
    is_waited_for: AtomicBool,
}

impl Space {
    /// From now on writes wait for space, or no longer do; those that wait end with their error.
    pub(in crate::embedded) fn be_patient(&self, patient: bool) {
        let mut is_patient = self.lock();
        *is_patient = patient;
        self.is_waited_for.fetch_and(patient, Ordering::AcqRel);
        drop(is_patient);
        self.changed.notify_all();
    }

    /// Whether a write waits for space right now.
    pub(super) fn is_waited_for(&self) -> bool {
        self.is_waited_for.load(Ordering::Acquire)
    }

    /// Calls `write`, which can be repeated, until it succeeds or fails for another reason than want of space.
    pub(super) fn wait_for(&self, file: &str, mut write: impl FnMut() -> io::Result<()>) -> io::Result<()> {
        let mut pause = FIRST_PAUSE;
        let began = Instant::now();
        let mut reminded: Option<Instant> = None;
        loop {
            let error = match write() {
                Err(error) if is_full(&error) => error,
                result => {
                    if reminded.is_some() {
                        tracing::info!(file, waited = ?began.elapsed(), "there is space for the database file again");
                        self.is_waited_for.store(false, Ordering::Release);
                    }
                    return result;
                }
            };
            let patient = self.lock();
            if !*patient {
                self.is_waited_for.store(false, Ordering::Release);
                return Err(error);
            }
            if reminded.is_none_or(|last| last.elapsed() >= REMINDER) {
                tracing::warn!(file, %error, "no space for the database file: its writes wait, commits that write are refused");
                reminded = Some(Instant::now());
            }
            self.is_waited_for.store(true, Ordering::Release);
            drop(self.changed.wait_timeout(patient, pause));
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    fn lock(&self) -> MutexGuard<'_, bool> {
        self.is_patient.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
