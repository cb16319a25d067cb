//! A database file that is only read. redb writes to a file when it opens one (that it is open, and repairs after a
//! crash); these writes are kept in memory.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use redb::StorageBackend;

use super::faults::{Faults, Operation};
use super::file::DataFile;

const PAGE: u64 = 4_096;

#[derive(Debug)]
pub(super) struct Overlay {
    file: File,
    name: String,
    faults: Faults,
    written: Mutex<Written>,
}

/// What differs from the file.
#[derive(Debug)]
struct Written {
    length: u64,
    /// How much of the file has not been cut off.
    kept: u64,
    pages: BTreeMap<u64, Box<[u8]>>,
}

impl Overlay {
    pub(super) fn new(file: DataFile) -> io::Result<Self> {
        let length = file.length()?;
        let (file, name, faults) = file.into_parts();
        Ok(Self { file, name, faults, written: Mutex::new(Written { length, kept: length, pages: BTreeMap::new() }) })
    }

    fn lock(&self) -> MutexGuard<'_, Written> {
        // What was written before a panic is whole: nothing in here panics half-way.
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bytes of the file, with zeros for what it does not have.
    fn read_file(&self, kept: u64, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let there = kept.saturating_sub(offset).min(out.len() as u64) as usize;
        let (read, rest) = out.split_at_mut(there);
        rest.fill(0);
        self.faults.check(Operation::Read, &self.name)?;
        read_at(&self.file, offset, read)
    }
}

#[cfg(unix)]
fn read_at(file: &File, offset: u64, out: &mut [u8]) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, out, offset)
}

#[cfg(not(unix))]
fn read_at(mut file: &File, offset: u64, out: &mut [u8]) -> io::Result<()> {
    use std::io::{Read as _, Seek as _, SeekFrom};

    // The position is the file's: the caller holds the lock of what is written.
    file.seek(SeekFrom::Start(offset))?;
    file.read_exact(out)
}

/// Splits `length` bytes from `offset` on by pages: for each piece the page, the place in it, and the place in the
/// bytes.
fn pieces(offset: u64, length: usize) -> impl Iterator<Item = (u64, usize, std::ops::Range<usize>)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let position = offset + at as u64;
        let within = (position % PAGE) as usize;
        let take = (length - at).min(PAGE as usize - within);
        at += take;
        (take > 0).then_some((position / PAGE, within, at - take..at))
    })
}

impl StorageBackend for Overlay {
    fn len(&self) -> Result<u64, io::Error> {
        Ok(self.lock().length)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), io::Error> {
        let written = self.lock();
        if offset.checked_add(out.len() as u64).is_none_or(|end| end > written.length) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let pieces: Vec<_> = pieces(offset, out.len()).collect();
        if pieces.iter().all(|(page, _, _)| !written.pages.contains_key(page)) {
            return self.read_file(written.kept, offset, out);
        }
        for (page, within, part) in pieces {
            let out = &mut out[part];
            match written.pages.get(&page) {
                Some(bytes) => out.copy_from_slice(&bytes[within..within + out.len()]),
                None => self.read_file(written.kept, page * PAGE + within as u64, out)?,
            }
        }
        Ok(())
    }

    fn set_len(&self, length: u64) -> Result<(), io::Error> {
        let mut written = self.lock();
        if length < written.length {
            written.pages.split_off(&length.div_ceil(PAGE));
            if let Some(last) = written.pages.get_mut(&(length / PAGE)) {
                last[(length % PAGE) as usize..].fill(0);
            }
            written.kept = written.kept.min(length);
        }
        written.length = length;
        Ok(())
    }

    fn sync_data(&self) -> Result<(), io::Error> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), io::Error> {
        let mut written = self.lock();
        for (page, within, part) in pieces(offset, data.len()) {
            if !written.pages.contains_key(&page) {
                let mut bytes = vec![0; PAGE as usize].into_boxed_slice();
                self.read_file(written.kept, page * PAGE, &mut bytes)?;
                written.pages.insert(page, bytes);
            }
            let bytes = written.pages.get_mut(&page).expect("it was there or was inserted above");
            bytes[within..within + part.len()].copy_from_slice(&data[part]);
        }
        written.length = written.length.max(offset + data.len() as u64);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::super::{Directory, Modes};
    use super::*;

    #[derive(Clone, Debug)]
    enum Step {
        Write(u64, Vec<u8>),
        Resize(u64),
        Read(u64, usize),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (0..20_000u64, prop::collection::vec(any::<u8>(), 0..9_000)).prop_map(|(at, data)| Step::Write(at, data)),
            (0..30_000u64).prop_map(Step::Resize),
            (0..30_000u64, 0..9_000usize).prop_map(|(at, length)| Step::Read(at, length)),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// As a file would answer, while the file stays as it was.
        #[test]
        fn it_is_a_file_of_its_own(
            before in prop::collection::vec(any::<u8>(), 0..15_000), steps in prop::collection::vec(step(), 1..20),
        ) {
            let outer = tempfile::tempdir().unwrap();
            std::fs::write(outer.path().join("f"), &before).unwrap();
            let directory = Directory::open_to_read(outer.path(), Modes::default(), Faults::default()).unwrap();
            let overlay = Overlay::new(directory.open_file("f").unwrap()).unwrap();
            let mut model = before.clone();
            for step in steps {
                match step {
                    Step::Write(at, data) => {
                        let end = at as usize + data.len();
                        model.resize(model.len().max(end), 0);
                        model[at as usize..end].copy_from_slice(&data);
                        overlay.write(at, &data).unwrap();
                    }
                    Step::Resize(length) => {
                        model.resize(length as usize, 0);
                        overlay.set_len(length).unwrap();
                    }
                    Step::Read(at, length) => {
                        let mut out = vec![7; length];
                        match model.get(at as usize..at as usize + length) {
                            Some(expected) => {
                                overlay.read(at, &mut out).unwrap();
                                prop_assert_eq!(&out[..], expected);
                            }
                            None => prop_assert!(overlay.read(at, &mut out).is_err()),
                        }
                    }
                }
                prop_assert_eq!(overlay.len().unwrap(), model.len() as u64);
            }
            prop_assert_eq!(std::fs::read(outer.path().join("f")).unwrap(), before);
        }
    }
}
