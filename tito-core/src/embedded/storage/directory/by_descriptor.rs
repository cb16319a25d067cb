//! A directory by its descriptor.

use std::fs::File;
use std::io;
use std::path::Path;

use rustix::fs::{AtFlags, Dir, Mode, OFlags, RawMode, fstat, linkat, open, openat, statat, unlinkat};
use rustix::io::{Errno, retry_on_intr};

pub(super) struct Handle(File);

impl Handle {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self(retry_on_intr(|| open(path, flags, Mode::empty()))?.into()))
    }

    pub(super) fn create_file(&self, name: &str, mode: u32) -> io::Result<File> {
        self.open_with(name, OFlags::RDWR | OFlags::CREATE | OFlags::EXCL, Mode::from_raw_mode(mode as RawMode))
    }

    pub(super) fn open_file(&self, name: &str, is_to_write: bool) -> io::Result<File> {
        self.open_with(name, if is_to_write { OFlags::RDWR } else { OFlags::RDONLY }, Mode::empty())
    }

    fn open_with(&self, name: &str, flags: OFlags, mode: Mode) -> io::Result<File> {
        let flags = flags | OFlags::CLOEXEC;
        Ok(retry_on_intr(|| openat(&self.0, name, flags, mode))?.into())
    }

    pub(super) fn names(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in Dir::read_from(&self.0)? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            if name != "." && name != ".." {
                names.push(name);
            }
        }
        Ok(names)
    }

    pub(super) fn length_of(&self, name: &str) -> io::Result<u64> {
        let status = retry_on_intr(|| statat(&self.0, name, AtFlags::empty()))?;
        Ok(status.st_size.try_into().expect("a file's length is never negative, though the type allows it"))
    }

    pub(super) fn is_name_of(&self, name: &str, file: &File) -> io::Result<bool> {
        let opened = retry_on_intr(|| fstat(file))?;
        match retry_on_intr(|| statat(&self.0, name, AtFlags::empty())) {
            Ok(named) => Ok((named.st_dev, named.st_ino) == (opened.st_dev, opened.st_ino)),
            Err(Errno::NOENT) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    pub(super) fn link(&self, from: &str, to: &str) -> io::Result<()> {
        Ok(retry_on_intr(|| linkat(&self.0, from, &self.0, to, AtFlags::empty()))?)
    }

    pub(super) fn remove(&self, name: &str) -> io::Result<()> {
        Ok(retry_on_intr(|| unlinkat(&self.0, name, AtFlags::empty()))?)
    }

    pub(super) fn sync(&self) -> io::Result<()> {
        self.0.sync_all()
    }
}
