//! Segments of the log, as they lie in the directory: `tito.log.{number}`, numbered from 1 without gaps.

use std::io;

use super::directory::Directory;
use super::frame::{self, Frame};

const PREFIX: &str = "tito.log.";

/// What a segment begins with: this, then its number as a little-endian `u64`.
const MAGIC: &[u8; 8] = b"titolog1";
pub(super) const HEADER: usize = 16;

/// Why the log can't be used.
#[derive(Debug)]
pub(in crate::embedded) enum LogError {
    /// The file system failed, which says nothing about what is stored.
    Io(io::Error),
    /// What is stored is not what was written.
    Damaged(String),
}

impl From<io::Error> for LogError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// What a segment holds.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) number: u64,
    pub(super) frames: Vec<Frame>,
    /// Bytes of its header and its whole frames.
    pub(super) end: u64,
}

/// Zeros, as segments are filled up with.
pub(super) static ZEROS: [u8; 1 << 16] = [0; 1 << 16];

/// How many bytes there are up to the last that is not zero.
pub(super) fn used_length(bytes: &[u8]) -> usize {
    let mut rest = bytes;
    // Compared piece by piece: a segment ends in a megabyte of zeros.
    while let Some((before, last)) = rest.split_at_checked(rest.len().saturating_sub(ZEROS.len())) {
        if last.is_empty() || last != &ZEROS[..last.len()] {
            break;
        }
        rest = before;
    }
    rest.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1)
}

pub(super) fn name_of(segment: u64) -> String {
    format!("{PREFIX}{segment:010}")
}

pub(super) fn header_of(segment: u64) -> Vec<u8> {
    let mut header = MAGIC.to_vec();
    header.extend_from_slice(&segment.to_le_bytes());
    header
}

/// Bytes of all segments.
pub(super) fn size(directory: &Directory) -> io::Result<u64> {
    list(directory)?.iter().try_fold(0, |sum, &segment| match directory.length_of(&name_of(segment)) {
        Ok(length) => Ok(sum + length),
        // The flusher has deleted it since it was listed.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(sum),
        Err(error) => Err(error),
    })
}

/// The numbers of the segments that exist, ascending.
pub(super) fn list(directory: &Directory) -> io::Result<Vec<u64>> {
    let names = directory.names()?;
    let number = |name: &String| name.strip_prefix(PREFIX)?.parse::<u64>().ok();
    let mut found: Vec<u64> = names.iter().filter_map(number).collect();
    found.sort_unstable();
    Ok(found)
}

/// Reads all segments, and changes nothing.
pub(super) fn read_all(directory: &Directory) -> Result<Vec<Segment>, LogError> {
    let segments = list(directory)?;
    segments.iter().map(|&segment| read(directory, segment, Some(&segment) == segments.last())).collect()
}

/// Reads the groups of a segment. `is_last` says whether it was the one being written, whose end may be torn.
pub(super) fn read(directory: &Directory, number: u64, is_last: bool) -> Result<Segment, LogError> {
    let name = name_of(number);
    let bytes = directory.open_file(&name)?.read_all()?;
    let Some((header, mut rest)) = bytes.split_at_checked(HEADER).filter(|(header, _)| header.starts_with(MAGIC))
    else {
        // Killed between creating the file and writing its header.
        if is_last && used_length(&bytes) == 0 {
            return Ok(Segment { number, frames: Vec::new(), end: HEADER as u64 });
        }
        return Err(LogError::Damaged(format!("{name} is not a log segment of Tito's")));
    };
    if header[MAGIC.len()..] != number.to_le_bytes() {
        return Err(LogError::Damaged(format!("{name} is a segment of another number")));
    }
    let mark = frame::mark_of(number);
    let mut frames = Vec::new();
    while let Some(frame) = frame::decode(mark, rest) {
        rest = &rest[frame.length..];
        frames.push(frame);
    }
    let end = bytes.len() - rest.len();
    check_end(&name, mark, rest, end, is_last)?;
    Ok(Segment { number, frames, end: end as u64 })
}

/// What follows the last complete frame may be zeros, or a frame that was being written when the process ended. A
/// complete frame can't follow that, because each is synchronised before the next is begun: if one does, something was
/// damaged, and acknowledged groups would be lost if it were skipped.
fn check_end(name: &str, mark: [u8; 8], rest: &[u8], offset: usize, is_last: bool) -> Result<(), LogError> {
    if used_length(rest) == 0 {
        return Ok(());
    }
    let later = (1..rest.len().saturating_sub(frame::HEADER))
        .filter(|&at| rest[at..].starts_with(&mark))
        .find(|&at| frame::decode(mark, &rest[at..]).is_some());
    if is_last && later.is_none() {
        return Ok(());
    }
    Err(LogError::Damaged(format!(
        "{name} is damaged at byte {offset}: what follows was acknowledged and can't be read"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_zeros_at_an_end_are_not_used() {
        for zeros in [0, 1, ZEROS.len() - 1, ZEROS.len(), ZEROS.len() + 1, 3 * ZEROS.len() + 5] {
            let mut bytes = vec![0; zeros];
            assert_eq!(used_length(&bytes), 0);
            bytes.insert(0, 7);
            assert_eq!(used_length(&bytes), 1);
            bytes.splice(0..0, [0; 10]);
            assert_eq!(used_length(&bytes), 11);
            bytes.push(1);
            assert_eq!(used_length(&bytes), bytes.len());
        }
    }
}
