//! A directory by its path, where the platform has no descriptors of directories: the path is absolute, and whether it
//! still names the same directory is checked before everything.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

pub(super) struct Handle {
    path: PathBuf,
    identity: same_file::Handle,
}

impl Handle {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        if !fs::metadata(path)?.is_dir() {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        Ok(Self { path: path.to_path_buf(), identity: same_file::Handle::from_path(path)? })
    }

    /// The path of a file, if the directory is still the one that was opened.
    fn path_of(&self, name: &str) -> io::Result<PathBuf> {
        self.check()?;
        Ok(self.path.join(name))
    }

    fn check(&self) -> io::Result<()> {
        if same_file::Handle::from_path(&self.path)? == self.identity {
            return Ok(());
        }
        Err(io::Error::other(format!("{} names another directory than the one that was opened", self.path.display())))
    }

    pub(super) fn create_file(&self, name: &str, _mode: u32) -> io::Result<File> {
        OpenOptions::new().read(true).write(true).create_new(true).open(self.path_of(name)?)
    }

    pub(super) fn open_file(&self, name: &str, is_to_write: bool) -> io::Result<File> {
        OpenOptions::new().read(true).write(is_to_write).open(self.path_of(name)?)
    }

    pub(super) fn names(&self) -> io::Result<Vec<String>> {
        self.check()?;
        fs::read_dir(&self.path)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
    }

    pub(super) fn length_of(&self, name: &str) -> io::Result<u64> {
        Ok(fs::metadata(self.path_of(name)?)?.len())
    }

    pub(super) fn is_name_of(&self, name: &str, file: &File) -> io::Result<bool> {
        let opened = same_file::Handle::from_file(file.try_clone()?)?;
        match same_file::Handle::from_path(self.path_of(name)?) {
            Ok(named) => Ok(named == opened),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    pub(super) fn link(&self, from: &str, to: &str) -> io::Result<()> {
        fs::hard_link(self.path_of(from)?, self.path_of(to)?)
    }

    pub(super) fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.path_of(name)?)
    }

    pub(super) fn sync(&self) -> io::Result<()> {
        self.check()
    }
}
