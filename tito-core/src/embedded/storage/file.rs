//! One file of a database, written from one thread at a time.

use std::fs::{File, TryLockError};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};

use super::faults::{Faults, Operation};

#[derive(Debug)]
pub(in crate::embedded) struct DataFile {
    file: File,
    name: String,
    faults: Faults,
}

impl DataFile {
    pub(super) fn new(file: File, name: &str, faults: Faults) -> Self {
        Self { file, name: name.to_string(), faults }
    }

    pub(super) fn file(&self) -> &File {
        &self.file
    }

    pub(super) fn length(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    /// All bytes of the file.
    pub(super) fn read_all(&mut self) -> io::Result<Vec<u8>> {
        self.faults.check(Operation::Read, &self.name)?;
        let mut bytes = Vec::new();
        self.file.seek(SeekFrom::Start(0))?;
        self.file.read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// Writes all of `bytes`. After an error some of them may be in the file.
    pub(super) fn write_at(&mut self, position: u64, bytes: &[u8]) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(position))?;
        if let Err(error) = self.faults.check(Operation::Write, &self.name) {
            self.file.write_all(&bytes[..bytes.len() / 2])?;
            return Err(error);
        }
        self.file.write_all(bytes)
    }

    /// Writes zeros behind the end, so that their space is there when it is needed. Some of them may be there after an
    /// error.
    pub(super) fn grow(&mut self, zeros: &[u8]) -> io::Result<()> {
        self.faults.check(Operation::Grow, &self.name)?;
        self.file.seek(SeekFrom::End(0))?;
        self.file.write_all(zeros)
    }

    /// Truncates the file, or extends it by zeros that may take no space yet.
    pub(super) fn set_length(&self, length: u64) -> io::Result<()> {
        self.faults.check(Operation::Resize, &self.name)?;
        self.file.set_len(length)
    }

    /// Makes the content and the length durable.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.faults.check(Operation::Sync, &self.name)?;
        self.file.sync_data()
    }

    /// Takes the lock of the whole file, which an open database holds; false if somebody else has it.
    pub(in crate::embedded) fn try_lock(&self) -> io::Result<bool> {
        match self.file.try_lock() {
            Ok(()) => Ok(true),
            Err(TryLockError::WouldBlock) => Ok(false),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// Like [`try_lock`](DataFile::try_lock), but for the lock that readers share.
    pub(in crate::embedded) fn try_lock_to_read(&self) -> io::Result<bool> {
        match self.file.try_lock_shared() {
            Ok(()) => Ok(true),
            Err(TryLockError::WouldBlock) => Ok(false),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// Gives the lock back.
    pub(in crate::embedded) fn unlock(&self) -> io::Result<()> {
        self.file.unlock()
    }

    pub(super) fn into_parts(self) -> (File, String, Faults) {
        (self.file, self.name, self.faults)
    }
}
