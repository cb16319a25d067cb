#![allow(clippy::unwrap_used, clippy::panic)]

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::*;
use crate::embedded::storage::directory::Modes;
use crate::embedded::storage::faults::{Faults, Operation};
use crate::embedded::storage::segment::{LogError, list, read};

const SEGMENT: u64 = 3;

fn group(number: u32) -> Vec<Write> {
    (0..number).map(|key| (key.to_be_bytes().to_vec(), Some(vec![b'x'; number as usize]))).collect()
}

fn open(path: &Path) -> (Directory, Faults) {
    let faults = Faults::default();
    (Directory::open(path, Modes::default(), faults.clone()).unwrap(), faults)
}

fn path_of(directory: &Path) -> PathBuf {
    directory.join(segment::name_of(SEGMENT))
}

fn append(log: &mut Log, number: u32) -> Result<(), AppendError> {
    log.append(&group(number), Timestamp::from_raw(u64::from(number)), Admission::Ordinary)
}

fn written(path: &Path) -> (Directory, Vec<u8>) {
    let (directory, _) = open(path);
    let mut log = Log::begin(&directory, SEGMENT).unwrap();
    for number in 1..=20 {
        append(&mut log, number).unwrap();
    }
    (directory, fs::read(path_of(path)).unwrap())
}

fn frames(directory: &Directory, is_last: bool) -> Result<usize, LogError> {
    read(directory, SEGMENT, is_last).map(|segment| segment.frames.len())
}

fn full() -> io::Error {
    io::ErrorKind::StorageFull.into()
}

#[test]
fn groups_are_read_back_in_order() {
    let outer = tempfile::tempdir().unwrap();
    let (directory, _) = written(outer.path());
    let segment = read(&directory, SEGMENT, true).unwrap();
    assert_eq!(segment.frames.len(), 20);
    for (frame, number) in segment.frames.iter().zip(1..) {
        assert_eq!(frame.writes, group(number));
        assert_eq!(frame.reserved, Timestamp::from_raw(u64::from(number)));
    }
    assert_eq!(list(&directory).unwrap(), [SEGMENT]);
}

#[test]
fn a_torn_end_loses_the_last_group_only() {
    let outer = tempfile::tempdir().unwrap();
    let (directory, whole) = written(outer.path());
    let end = whole.iter().rposition(|&byte| byte != 0).unwrap();
    for cut in [1, 8, 100] {
        fs::write(path_of(outer.path()), &whole[..end - cut]).unwrap();
        assert_eq!(frames(&directory, true).unwrap(), 19);
        assert!(frames(&directory, false).is_err(), "an earlier segment was complete");
    }
}

#[test]
fn a_torn_segment_that_was_resumed_is_whole_and_goes_on() {
    let outer = tempfile::tempdir().unwrap();
    let (directory, whole) = written(outer.path());
    let end = whole.iter().rposition(|&byte| byte != 0).unwrap();
    for bytes in [&whole[..end - 8], &[whole[..end - 8].to_vec(), vec![0; 5_000]].concat()] {
        fs::write(path_of(outer.path()), bytes).unwrap();
        let segment = read(&directory, SEGMENT, true).unwrap();
        let mut log = Log::resume(&directory, &segment).unwrap();
        assert_eq!(read(&directory, SEGMENT, false).unwrap().frames, segment.frames);
        append(&mut log, 21).unwrap();
        assert_eq!(frames(&directory, false).unwrap(), 20);
    }
    for bytes in [&b""[..], &[0; 7], &[0; 100]] {
        fs::write(path_of(outer.path()), bytes).unwrap();
        assert!(frames(&directory, false).is_err(), "killed before its header was written");
        let mut log = Log::resume(&directory, &read(&directory, SEGMENT, true).unwrap()).unwrap();
        assert_eq!(frames(&directory, false).unwrap(), 0);
        append(&mut log, 1).unwrap();
        assert_eq!(frames(&directory, false).unwrap(), 1);
    }
}

#[test]
fn damage_before_whole_groups_is_an_error() {
    let outer = tempfile::tempdir().unwrap();
    let (directory, mut bytes) = written(outer.path());
    bytes[HEADER + 40] ^= 1;
    fs::write(path_of(outer.path()), &bytes).unwrap();
    let Err(LogError::Damaged(reason)) = read(&directory, SEGMENT, true) else { panic!("expected damage") };
    assert!(reason.contains("damaged at byte 16"), "{reason}");
}

#[test]
fn foreign_files_are_damage() {
    let outer = tempfile::tempdir().unwrap();
    let (directory, _) = open(outer.path());
    for bytes in [&b"something else entirely"[..], b"titolog1\x07\0\0\0\0\0\0\0", b"short"] {
        fs::write(path_of(outer.path()), bytes).unwrap();
        assert!(matches!(read(&directory, SEGMENT, true), Err(LogError::Damaged(_))), "{bytes:?}");
    }
    fs::write(path_of(outer.path()), b"").unwrap();
    assert_eq!(frames(&directory, true).unwrap(), 0);
}

#[test]
fn an_error_of_the_file_system_is_no_damage() {
    let outer = tempfile::tempdir().unwrap();
    written(outer.path());
    let (directory, faults) = open(outer.path());
    for failing in [Operation::Open, Operation::Read] {
        faults.set(move |operation, _| if operation == failing { Err(io::Error::other("broken")) } else { Ok(()) });
        assert!(matches!(read(&directory, SEGMENT, true), Err(LogError::Io(_))), "{failing:?}");
    }
}

/// Whichever write fails: what was refused is not there, what was accepted is, and the log goes on.
#[test]
fn a_refused_write_never_was() {
    for refused in 0..12 {
        let outer = tempfile::tempdir().unwrap();
        let (directory, faults) = open(outer.path());
        let mut log = Log::begin(&directory, SEGMENT).unwrap();
        let mut writes = 0;
        faults.set(move |operation, _| {
            if operation == Operation::Write {
                writes += 1;
                if writes == refused + 1 {
                    return Err(io::Error::other("refused"));
                }
            }
            Ok(())
        });
        let mut accepted = Vec::new();
        for number in 1..=10 {
            match append(&mut log, number) {
                Ok(()) => accepted.push(group(number)),
                Err(AppendError::Refused(_)) => {
                    // As after a kill: whoever reads now finds nothing of it.
                    let segment = read(&directory, SEGMENT, false).unwrap();
                    assert_eq!(segment.frames.len(), accepted.len());
                }
                Err(AppendError::Lost(error)) => panic!("{error}"),
            }
        }
        let segment = read(&directory, SEGMENT, false).unwrap();
        let stored: Vec<Vec<Write>> = segment.frames.into_iter().map(|frame| frame.writes).collect();
        assert_eq!(stored, accepted, "write {refused} was refused");
        assert!(accepted.len() >= 9);
    }
}

#[test]
fn a_failed_synchronisation_or_cut_loses_the_log() {
    let outer = tempfile::tempdir().unwrap();
    let (directory, faults) = open(outer.path());
    let mut log = Log::begin(&directory, SEGMENT).unwrap();
    faults.set(|operation, _| if operation == Operation::Sync { Err(io::Error::other("broken")) } else { Ok(()) });
    assert!(matches!(append(&mut log, 1), Err(AppendError::Lost(_))));

    for also_failing in [Operation::Resize, Operation::Sync] {
        faults.clear();
        directory.remove(&segment::name_of(SEGMENT)).unwrap();
        let mut log = Log::begin(&directory, SEGMENT).unwrap();
        faults.set(move |operation, _| match operation {
            Operation::Write => Err(full()),
            other if other == also_failing => Err(io::Error::other("broken")),
            _ => Ok(()),
        });
        assert!(matches!(append(&mut log, 1), Err(AppendError::Lost(_))), "{also_failing:?}");
    }
}

/// A disk without space: files can be written in place, and not grow.
fn fill(faults: &Faults) {
    faults.set(|operation, _| if operation == Operation::Grow { Err(full()) } else { Ok(()) });
}

/// How many groups of `bytes` go through until one is refused.
fn appended(log: &mut Log, bytes: usize, admission: Admission) -> usize {
    let writes = [(vec![0; bytes], None)];
    let mut count = 0;
    loop {
        match log.append(&writes, Timestamp::ZERO, admission) {
            Ok(()) => count += 1,
            Err(AppendError::Refused(error)) if is_full(&error) => return count,
            Err(error) => panic!("{error:?}"),
        }
    }
}

#[test]
fn growing_ahead_of_its_use_fails_no_commit() {
    let outer = tempfile::tempdir().unwrap();
    let (directory, faults) = open(outer.path());
    let mut log = Log::begin(&directory, SEGMENT).unwrap();
    // Until there are more than the reserve behind the end.
    assert!(log.file_length >= RESERVE);
    append(&mut log, 1).unwrap();
    assert!(log.file_length >= log.position + RESERVE + GROWTH / 2);
    fill(&faults);
    append(&mut log, 1).unwrap();
    assert_eq!(frames(&directory, false).unwrap(), 2);
}

#[test]
fn a_full_disk_takes_deletes_for_long_and_timestamps_for_longer() {
    let outer = tempfile::tempdir().unwrap();
    let (directory, faults) = open(outer.path());
    let mut log = Log::begin(&directory, SEGMENT).unwrap();
    append(&mut log, 1).unwrap();
    fill(&faults);
    let ordinary = appended(&mut log, 10_000, Admission::Ordinary);
    assert!(log.file_length >= log.position + RESERVE);
    let freeing = appended(&mut log, 10_000, Admission::Freeing);
    assert!(freeing >= 75, "{freeing}");
    let timestamps = appended(&mut log, 10_000, Admission::Timestamps);
    assert!(timestamps >= 25, "{timestamps}");
    assert_eq!(frames(&directory, false).unwrap(), 1 + ordinary + freeing + timestamps);

    faults.clear();
    append(&mut log, 1).unwrap();
    assert!(!log.is_short(), "the reserve is there again");
}

/// On a file system that never writes in place, a write in the file's middle fails when it is full; the reserve is given
/// back for those that may use it.
#[test]
fn what_may_use_the_reserve_does_so_where_nothing_is_written_in_place() {
    let outer = tempfile::tempdir().unwrap();
    let (directory, faults) = open(outer.path());
    let mut log = Log::begin(&directory, SEGMENT).unwrap();
    let path = path_of(outer.path());
    faults.set(move |operation, _| {
        let is_full = fs::metadata(&path).unwrap().len() >= RESERVE;
        match operation {
            Operation::Write | Operation::Grow if is_full => Err(full()),
            _ => Ok(()),
        }
    });
    log.append(&group(5), Timestamp::ZERO, Admission::Freeing).unwrap();
    assert_eq!(frames(&directory, false).unwrap(), 1);
}

/// What an attempt leaves that could not be taken away is no obstacle to the next one.
#[test]
fn a_segment_that_can_not_be_begun_leaves_nothing() {
    for failing in [Operation::Create, Operation::Grow, Operation::Write, Operation::Sync, Operation::SyncDirectory] {
        let outer = tempfile::tempdir().unwrap();
        let (directory, faults) = open(outer.path());
        let mut once = true;
        faults.set(
            move |operation, _| if operation == failing && std::mem::take(&mut once) { Err(full()) } else { Ok(()) },
        );
        assert!(Log::begin(&directory, SEGMENT).is_err(), "{failing:?}");
        assert!(directory.names().unwrap().is_empty(), "{failing:?}");
        faults.clear();
        Log::begin(&directory, SEGMENT).unwrap();
    }
}
