//! The log: every group is appended to it and synchronised before its commit is answered. Appending is a fraction of
//! the work of changing the tree in the database file, which follows in bulk.
//!
//! The log is a sequence of segments, one file each: `tito.log.{number}`, numbered from 1 without gaps. A segment ends
//! when its memtable is full, and is deleted when that was merged into the database file.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use super::super::store::{StoreResult, Write};
use super::frame::{self, Frame};
use crate::timestamp::Timestamp;

const PREFIX: &str = "tito.log.";

/// What a segment begins with: this, then its number as a little-endian `u64`.
const MAGIC: &[u8; 8] = b"titolog1";
const HEADER: usize = 16;

/// A segment grows in steps of zeros, so that most appends don't change the file's size, which would cost another write
/// with each synchronisation.
const GROWTH: u64 = 1 << 20;
static ZEROS: [u8; 1 << 16] = [0; 1 << 16];

/// The segment that is being written.
pub(super) struct Log {
    directory: PathBuf,
    file: File,
    segment: u64,
    mark: [u8; 8],
    position: u64,
    file_length: u64,
    frame: Vec<u8>,
}

impl Log {
    /// Begins a segment. Its file is durable when this returns.
    pub(super) fn begin(directory: &Path, segment: u64) -> io::Result<Self> {
        let file = OpenOptions::new().write(true).create(true).truncate(true).open(path_of(directory, segment))?;
        let mut log = Self {
            directory: directory.to_path_buf(),
            file,
            segment,
            mark: frame::mark_of(segment),
            position: 0,
            file_length: 0,
            frame: Vec::new(),
        };
        let mut header = MAGIC.to_vec();
        header.extend_from_slice(&segment.to_le_bytes());
        log.write(&header)?;
        File::open(directory)?.sync_all()?;
        Ok(log)
    }

    /// Begins the next segment.
    pub(super) fn next(&self) -> io::Result<Self> {
        Self::begin(&self.directory, self.segment + 1)
    }

    pub(super) fn segment(&self) -> u64 {
        self.segment
    }

    /// Appends a group; it is durable when this returns.
    pub(super) fn append(&mut self, writes: &[Write], reserved: Timestamp) -> io::Result<()> {
        let mut bytes = std::mem::take(&mut self.frame);
        frame::encode(self.mark, writes, reserved, &mut bytes);
        let written = self.write(&bytes);
        self.frame = bytes;
        written
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let end = self.position + bytes.len() as u64;
        self.file.seek(SeekFrom::Start(self.position))?;
        self.file.write_all(bytes)?;
        if end > self.file_length {
            self.file_length = end;
            while self.file_length < end + GROWTH {
                self.file.write_all(&ZEROS)?;
                self.file_length += ZEROS.len() as u64;
            }
        }
        self.file.sync_data()?;
        self.position = end;
        Ok(())
    }
}

fn path_of(directory: &Path, segment: u64) -> PathBuf {
    directory.join(format!("{PREFIX}{segment:010}"))
}

/// Deletes a segment.
pub(super) fn remove(directory: &Path, segment: u64) -> io::Result<()> {
    fs::remove_file(path_of(directory, segment))
}

/// Bytes of all segments.
pub(super) fn size(directory: &Path) -> io::Result<u64> {
    segments(directory)?.iter().try_fold(0, |sum, &segment| match fs::metadata(path_of(directory, segment)) {
        Ok(metadata) => Ok(sum + metadata.len()),
        // The merger has deleted it since it was listed.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(sum),
        Err(error) => Err(error),
    })
}

/// The numbers of the segments that exist, ascending.
pub(super) fn segments(directory: &Path) -> io::Result<Vec<u64>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory)? {
        let name = entry?.file_name();
        let number =
            name.to_str().and_then(|name| name.strip_prefix(PREFIX)).and_then(|number| number.parse::<u64>().ok());
        found.extend(number);
    }
    found.sort_unstable();
    Ok(found)
}

/// Reads the groups of a segment. `is_last` says whether it is the one that was being written: its end may be torn.
pub(super) fn read(directory: &Path, segment: u64, is_last: bool) -> StoreResult<Vec<Frame>> {
    let path = path_of(directory, segment);
    let bytes = fs::read(&path)?;
    let Some((header, mut rest)) = bytes.split_at_checked(HEADER).filter(|(header, _)| header.starts_with(MAGIC))
    else {
        // Killed between creating the file and writing its header.
        if is_last && bytes.iter().all(|&byte| byte == 0) {
            return Ok(Vec::new());
        }
        return Err(format!("{} is not a log segment of Tito's", path.display()).into());
    };
    if header[MAGIC.len()..] != segment.to_le_bytes() {
        return Err(format!("{} is a segment of another number", path.display()).into());
    }
    let mark = frame::mark_of(segment);
    let mut frames = Vec::new();
    while let Some(frame) = frame::decode(mark, rest) {
        rest = &rest[frame.length..];
        frames.push(frame);
    }
    check_end(&path, mark, rest, bytes.len() - rest.len(), is_last)?;
    Ok(frames)
}

/// Makes a segment that was being written when the process ended one that is complete: without what was torn, `frames`
/// being what was read of it. Only then may the next one begin, after which a torn end is damage.
pub(super) fn seal(directory: &Path, segment: u64, frames: &[Frame]) -> io::Result<()> {
    let path = path_of(directory, segment);
    if frames.is_empty() {
        Log::begin(directory, segment)?;
    }
    let file = OpenOptions::new().write(true).open(path)?;
    file.set_len((HEADER + frames.iter().map(|frame| frame.length).sum::<usize>()) as u64)?;
    file.sync_all()
}

/// What follows the last whole frame may be zeros, or a frame that was being written when the process ended. It can't be
/// followed by a whole one, because each is synchronised before the next is begun: then something was damaged, and
/// groups that were acknowledged would be lost if it was passed over.
fn check_end(path: &Path, mark: [u8; 8], rest: &[u8], offset: usize, is_last: bool) -> StoreResult<()> {
    if rest.iter().all(|&byte| byte == 0) {
        return Ok(());
    }
    let later = (1..rest.len().saturating_sub(frame::HEADER))
        .filter(|&at| rest[at..].starts_with(&mark))
        .find(|&at| frame::decode(mark, &rest[at..]).is_some());
    if is_last && later.is_none() {
        return Ok(());
    }
    Err(format!("{} is damaged at byte {offset}: what follows was acknowledged and can't be read", path.display())
        .into())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn group(number: u32) -> Vec<Write> {
        (0..number).map(|key| (key.to_be_bytes().to_vec(), Some(vec![b'x'; number as usize]))).collect()
    }

    fn written(directory: &Path) -> Vec<u8> {
        let mut log = Log::begin(directory, 3).unwrap();
        for number in 1..=20 {
            log.append(&group(number), Timestamp::from_raw(u64::from(number))).unwrap();
        }
        fs::read(path_of(directory, 3)).unwrap()
    }

    #[test]
    fn groups_are_read_back_in_order() {
        let directory = tempfile::tempdir().unwrap();
        written(directory.path());
        let frames = read(directory.path(), 3, true).unwrap();
        assert_eq!(frames.len(), 20);
        for (frame, number) in frames.iter().zip(1..) {
            assert_eq!(frame.writes, group(number));
            assert_eq!(frame.reserved, Timestamp::from_raw(u64::from(number)));
        }
        assert_eq!(segments(directory.path()).unwrap(), [3]);
    }

    #[test]
    fn a_torn_end_loses_the_last_group_only() {
        let directory = tempfile::tempdir().unwrap();
        let whole = written(directory.path());
        let end = whole.iter().rposition(|&byte| byte != 0).unwrap();
        for cut in [1, 8, 100] {
            fs::write(path_of(directory.path(), 3), &whole[..end - cut]).unwrap();
            assert_eq!(read(directory.path(), 3, true).unwrap().len(), 19);
            assert!(read(directory.path(), 3, false).is_err(), "an earlier segment was complete");
        }
    }

    #[test]
    fn a_sealed_segment_is_complete_wherever_it_was_torn() {
        let directory = tempfile::tempdir().unwrap();
        let whole = written(directory.path());
        let end = whole.iter().rposition(|&byte| byte != 0).unwrap();
        for length in [0, 7, HEADER, HEADER + 1, HEADER + 30, end / 2, end, end + 1, whole.len()] {
            let mut torn = whole[..length].to_vec();
            // A header is written as a whole, but a file can be longer than what of it has reached the disk.
            if length < HEADER {
                torn.fill(0);
            }
            fs::write(path_of(directory.path(), 3), &torn).unwrap();
            let frames = read(directory.path(), 3, true).unwrap();
            for _ in 0..2 {
                seal(directory.path(), 3, &frames).unwrap();
                assert_eq!(read(directory.path(), 3, false).unwrap(), frames, "{length} bytes");
            }
        }
    }

    #[test]
    fn damage_before_whole_groups_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        let mut bytes = written(directory.path());
        bytes[HEADER + 40] ^= 1;
        fs::write(path_of(directory.path(), 3), &bytes).unwrap();
        let error = read(directory.path(), 3, true).unwrap_err().to_string();
        assert!(error.contains("damaged at byte 16"), "{error}");
    }

    #[test]
    fn foreign_files_are_errors() {
        let directory = tempfile::tempdir().unwrap();
        for bytes in [&b"something else entirely"[..], b"titolog1\x07\0\0\0\0\0\0\0", b"short"] {
            fs::write(path_of(directory.path(), 3), bytes).unwrap();
            assert!(read(directory.path(), 3, true).is_err(), "{bytes:?}");
        }
        fs::write(path_of(directory.path(), 3), b"").unwrap();
        assert_eq!(read(directory.path(), 3, true).unwrap(), []);
    }
}
