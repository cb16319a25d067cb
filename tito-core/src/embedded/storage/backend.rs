//! The database file as redb sees it: redb's own backend with its locks, but with writes that wait for space.

use std::io;
use std::ops::Bound;
use std::sync::Arc;

use redb::backends::FileBackend;
use redb::{BackendError, DatabaseError, StorageBackend};

use super::faults::{Faults, Operation};
use super::file::DataFile;
use super::space::Space;

#[derive(Debug)]
pub(super) struct Backend {
    file: FileBackend,
    name: String,
    space: Arc<Space>,
    faults: Faults,
}

impl Backend {
    pub(super) fn new(file: DataFile, space: Arc<Space>) -> Result<Self, DatabaseError> {
        let (file, name, faults) = file.into_parts();
        // There a second lock of a file fails, its owner's too; redb takes its own in a moment.
        #[cfg(not(unix))]
        file.unlock().map_err(redb::StorageError::from)?;
        Ok(Self { file: FileBackend::new(file)?, name, space, faults })
    }

    fn check(&self, operation: Operation) -> io::Result<()> {
        self.faults.check(operation, &self.name)
    }
}

impl StorageBackend for Backend {
    fn len(&self) -> Result<u64, io::Error> {
        self.file.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), io::Error> {
        self.check(Operation::Read)?;
        self.file.read(offset, out)
    }

    fn set_len(&self, length: u64) -> Result<(), io::Error> {
        self.space.wait_for(&self.name, || self.check(Operation::Resize).and_then(|()| self.file.set_len(length)))
    }

    fn sync_data(&self) -> Result<(), io::Error> {
        self.check(Operation::Sync)?;
        self.file.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), io::Error> {
        self.space.wait_for(&self.name, || self.check(Operation::Write).and_then(|()| self.file.write(offset, data)))
    }

    fn close(&self) -> Result<(), io::Error> {
        self.file.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.file.try_lock_range(start, end)
    }

    fn try_lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.file.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.file.lock_range(start, end)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.file.lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.file.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.file.query_lock_range(start, end)
    }
}
