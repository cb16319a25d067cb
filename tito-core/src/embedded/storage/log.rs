//! The log: every group is appended and synchronised before its commit is answered. Appending is a fraction of the work
//! of changing the tree in the database file, which happens later and in bulk.
//!
//! A segment of the log ends when its memtable is full, and is deleted once that has been flushed into the database
//! file.
//!
//! A write that the file system refuses is cut off again, as if it had never happened. The file is longer than its
//! contents: it grows in steps, so that few appends change its length, and has a reserve for writes that free space or
//! need next to none. So a full disk refuses what would fill it, and lets deletes and acknowledgements through.

use std::io;

use super::directory::Directory;
use super::file::DataFile;
use super::frame;
use super::segment::{self, HEADER, Segment, ZEROS};
use super::space::is_full;
use crate::embedded::store::{Admission, AppendError, Write};
use crate::timestamp::Timestamp;

/// A segment grows in steps of zeros, so that most appends don't change the file's size, which would cost another write
/// with each synchronisation.
const GROWTH: u64 = 1 << 20;

/// What is kept behind the last frame while there is space. Thousands of acknowledgements fit into it.
const RESERVE: u64 = 1 << 20;

/// The part of the reserve set apart for reservations of timestamps, without which nothing could be read.
const RESERVE_FOR_TIMESTAMPS: u64 = 256 << 10;

/// How much of the reserve an append has to leave.
fn kept_by(admission: Admission) -> u64 {
    match admission {
        Admission::Ordinary => RESERVE,
        Admission::Freeing => RESERVE_FOR_TIMESTAMPS,
        Admission::Timestamps => 0,
    }
}

/// The segment that is being written.
pub(super) struct Log {
    directory: Directory,
    file: DataFile,
    segment: u64,
    mark: [u8; 8],
    position: u64,
    file_length: u64,
    frame: Vec<u8>,
}

impl Log {
    /// Begins a segment. Its file is durable when this returns; if this fails, there is no file, unless the file system
    /// itself is lost.
    pub(super) fn begin(directory: &Directory, segment: u64) -> Result<Self, AppendError> {
        let name = segment::name_of(segment);
        // What an attempt left that could neither be finished nor be taken away. Nothing of it was ever answered.
        directory.remove_if_there(&name).map_err(AppendError::Refused)?;
        let file = directory.create_file(&name).map_err(AppendError::Refused)?;
        let mut log = Self::new(directory, file, segment, 0, 0);
        let begun = log
            .make_room(HEADER, Admission::Ordinary)
            .map_err(AppendError::Refused)
            .and_then(|()| log.write(&segment::header_of(segment)))
            .and_then(|()| directory.sync().map_err(AppendError::Lost));
        if begun.is_err() {
            // While it is there, a torn end of the segment before it counts as damage.
            directory.remove_if_there(&name).and_then(|()| directory.sync()).map_err(AppendError::Lost)?;
        }
        begun.map(|()| log)
    }

    /// Goes on with the segment that was written last.
    ///
    /// The frames that were read are written again, since they may be in the machine's memory only if a synchronisation
    /// failed before. Anything behind the complete frames is cleared: once another segment follows, a torn end would
    /// count as damage.
    pub(super) fn resume(directory: &Directory, segment: &Segment) -> Result<Self, AppendError> {
        let name = segment::name_of(segment.number);
        let mut file = directory.open_file(&name).map_err(AppendError::Refused)?;
        let mut bytes = file.read_all().map_err(AppendError::Refused)?;
        let end = segment.end as usize;
        bytes.truncate(segment::used_length(&bytes));
        bytes.resize(bytes.len().max(end), 0);
        // One that was being created has none.
        bytes[..HEADER].copy_from_slice(&segment::header_of(segment.number));
        bytes[end..].fill(0);
        match file.write_at(0, &bytes) {
            Ok(()) => {}
            // A file system that never writes in place: what can't be written again is left as it is.
            Err(error) if end > HEADER => {
                tracing::warn!(file = name, %error, "the end of the log can't be written again");
                file.set_length(segment.end).map_err(AppendError::Refused)?;
            }
            Err(error) => return Err(AppendError::Refused(error)),
        }
        // Its name as well, which whoever began it may not have come to.
        file.sync().and_then(|()| directory.sync()).map_err(AppendError::Lost)?;
        let file_length = file.length().map_err(AppendError::Refused)?;
        Ok(Self::new(directory, file, segment.number, segment.end, file_length))
    }

    fn new(directory: &Directory, file: DataFile, segment: u64, position: u64, file_length: u64) -> Self {
        let (directory, mark) = (directory.clone(), frame::mark_of(segment));
        Self { directory, file, segment, mark, position, file_length, frame: Vec::new() }
    }

    /// Begins the next segment.
    pub(super) fn next(&self) -> Result<Self, AppendError> {
        Self::begin(&self.directory, self.segment + 1)
    }

    pub(super) fn segment(&self) -> u64 {
        self.segment
    }

    /// Whether the file system lacked space for the whole reserve when it was last asked.
    pub(super) fn is_short(&self) -> bool {
        self.file_length < self.position + RESERVE
    }

    /// Appends a group; it is durable when this returns.
    pub(super) fn append(
        &mut self,
        writes: &[Write],
        reserved: Timestamp,
        admission: Admission,
    ) -> Result<(), AppendError> {
        let mut bytes = std::mem::take(&mut self.frame);
        frame::encode(self.mark, writes, reserved, &mut bytes);
        let room = self.make_room(bytes.len(), admission).map_err(AppendError::Refused);
        let appended = room.and_then(|()| match self.write(&bytes) {
            // A file system that never writes in place: what was cut off has given the reserve back to it.
            Err(AppendError::Refused(error)) if is_full(&error) && admission != Admission::Ordinary => {
                self.write(&bytes)
            }
            other => other,
        });
        self.frame = bytes;
        appended
    }

    /// How many bytes have been written.
    pub(super) fn length(&self) -> u64 {
        self.position
    }

    /// Whether `bytes` more fit into the file as it is.
    pub(super) fn has_room(&self, bytes: usize, admission: Admission) -> bool {
        self.file_length >= self.position + bytes as u64 + kept_by(admission)
    }

    /// Makes room for `bytes` more in the file, with the reserve behind them.
    pub(super) fn make_room(&mut self, bytes: usize, admission: Admission) -> io::Result<()> {
        let end = self.position + bytes as u64;
        if self.file_length >= end + RESERVE {
            return Ok(());
        }
        match self.grow(end + RESERVE + GROWTH) {
            Err(error) if self.file_length < end + kept_by(admission) => Err(error),
            // It was more than is needed now.
            Ok(()) | Err(_) => Ok(()),
        }
    }

    fn grow(&mut self, length: u64) -> io::Result<()> {
        while self.file_length < length {
            if let Err(error) = self.file.grow(&ZEROS) {
                // Part of them may be there.
                self.file_length = self.file.length()?.max(self.file_length);
                return Err(error);
            }
            self.file_length += ZEROS.len() as u64;
        }
        Ok(())
    }

    /// Writes `bytes` behind what is there, durably.
    fn write(&mut self, bytes: &[u8]) -> Result<(), AppendError> {
        if let Err(error) = self.file.write_at(self.position, bytes) {
            self.cut_off()?;
            return Err(AppendError::Refused(error));
        }
        self.file.sync().map_err(AppendError::Lost)?;
        self.position += bytes.len() as u64;
        Ok(())
    }

    /// Undoes a partly written frame, so that nothing of it can be found after a crash.
    fn cut_off(&mut self) -> Result<(), AppendError> {
        self.file.set_length(self.position).and_then(|()| self.file.sync()).map_err(AppendError::Lost)?;
        self.file_length = self.position;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
