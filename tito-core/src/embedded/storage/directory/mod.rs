//! The directory of a database: what was opened, not what its path names later.
//!
//! A path can come to mean something else while a database is open: the process changes its current directory, the
//! directory is renamed, a link is switched. So files are found through a descriptor of the directory, and none is ever
//! opened with a flag that truncates it.

#[cfg(unix)]
mod by_descriptor;
#[cfg(any(test, not(unix)))]
mod by_path;

use std::fmt;
use std::fs::{self, DirBuilder};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

#[cfg(unix)]
use self::by_descriptor::Handle;
#[cfg(not(unix))]
use self::by_path::Handle;
use super::faults::{Faults, Operation};
use super::file::DataFile;

/// The Unix modes of a new directory and the files in it. No effect elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::embedded) struct Modes {
    pub(in crate::embedded) directory: u32,
    pub(in crate::embedded) files: u32,
}

impl Default for Modes {
    /// The owner alone.
    fn default() -> Self {
        Self { directory: 0o700, files: 0o600 }
    }
}

/// An open directory. Clones share it.
#[derive(Clone)]
pub(in crate::embedded) struct Directory(Arc<Inner>);

struct Inner {
    handle: Handle,
    /// Where it was when it was opened: for messages.
    path: PathBuf,
    file_mode: u32,
    is_to_write: bool,
    faults: Faults,
}

impl Directory {
    /// Opens a directory that exists.
    pub(in crate::embedded) fn open(path: &Path, modes: Modes, faults: Faults) -> io::Result<Self> {
        Self::open_for(path, modes, faults, true)
    }

    /// Opens a directory that exists, whose files are opened to be read.
    pub(in crate::embedded) fn open_to_read(path: &Path, modes: Modes, faults: Faults) -> io::Result<Self> {
        Self::open_for(path, modes, faults, false)
    }

    fn open_for(path: &Path, modes: Modes, faults: Faults, is_to_write: bool) -> io::Result<Self> {
        let path = std::path::absolute(path)?;
        let handle = Handle::open(&path)?;
        Ok(Self(Arc::new(Inner { handle, path, file_mode: modes.files, is_to_write, faults })))
    }

    /// Opens a directory, creating it and its parents if they do not exist. Each directory that got a new entry is
    /// synchronised, so that the path to the database survives a crash as the database does.
    pub(in crate::embedded) fn create(path: &Path, modes: Modes, faults: Faults) -> io::Result<Self> {
        let path = std::path::absolute(path)?;
        let missing: Vec<&Path> = path.ancestors().take_while(|ancestor| !ancestor.exists()).collect();
        for directory in missing.into_iter().rev() {
            match builder(modes).create(directory) {
                // Another process was quicker; whether it is a directory is seen when it is opened.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                other => other?,
            }
            if let Some(parent) = directory.parent() {
                faults.check(Operation::SyncDirectory, &parent.to_string_lossy())?;
                sync(parent)?;
            }
        }
        Self::open(&path, modes, faults)
    }

    /// Where the directory was when it was opened.
    pub(in crate::embedded) fn path(&self) -> &Path {
        &self.0.path
    }

    /// A new file, which must not exist.
    pub(in crate::embedded) fn create_file(&self, name: &str) -> io::Result<DataFile> {
        self.0.faults.check(Operation::Create, name)?;
        let file = self.0.handle.create_file(name, self.0.file_mode)?;
        Ok(DataFile::new(file, name, self.0.faults.clone()))
    }

    /// A file that exists.
    pub(in crate::embedded) fn open_file(&self, name: &str) -> io::Result<DataFile> {
        self.0.faults.check(Operation::Open, name)?;
        let file = self.0.handle.open_file(name, self.0.is_to_write)?;
        Ok(DataFile::new(file, name, self.0.faults.clone()))
    }

    /// The names of everything in the directory; those that are not UTF-8 in a readable form.
    pub(in crate::embedded) fn names(&self) -> io::Result<Vec<String>> {
        self.0.handle.names()
    }

    pub(in crate::embedded) fn contains(&self, name: &str) -> io::Result<bool> {
        match self.length_of(name) {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Bytes of a file.
    pub(in crate::embedded) fn length_of(&self, name: &str) -> io::Result<u64> {
        self.0.handle.length_of(name)
    }

    /// Whether a name is that of an open file.
    pub(in crate::embedded) fn is_name_of(&self, name: &str, file: &DataFile) -> io::Result<bool> {
        self.0.handle.is_name_of(name, file.file())
    }

    /// Makes the directory's own name durable, as far as that is in one directory.
    pub(in crate::embedded) fn sync_name(&self) -> io::Result<()> {
        self.0.path.parent().map_or(Ok(()), sync)
    }

    /// Gives a file a second name, which must not exist.
    pub(in crate::embedded) fn link(&self, from: &str, to: &str) -> io::Result<()> {
        self.0.faults.check(Operation::Link, to)?;
        self.0.handle.link(from, to)
    }

    pub(in crate::embedded) fn remove(&self, name: &str) -> io::Result<()> {
        self.0.faults.check(Operation::Remove, name)?;
        self.0.handle.remove(name)
    }

    /// Like [`remove`](Directory::remove), of a file that may be gone.
    pub(in crate::embedded) fn remove_if_there(&self, name: &str) -> io::Result<()> {
        match self.remove(name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }

    /// Makes new names and removals durable.
    pub(in crate::embedded) fn sync(&self) -> io::Result<()> {
        self.0.faults.check(Operation::SyncDirectory, "")?;
        self.0.handle.sync()
    }
}

impl fmt::Debug for Directory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Directory").field(&self.0.path).finish()
    }
}

fn builder(modes: Modes) -> DirBuilder {
    let mut builder = DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, modes.directory);
    #[cfg(not(unix))]
    let _ = modes;
    builder
}

#[cfg(unix)]
fn sync(directory: &Path) -> io::Result<()> {
    fs::File::open(directory)?.sync_all()
}

/// Directories can't be synchronised there; the file system's journal has to do.
#[cfg(not(unix))]
fn sync(directory: &Path) -> io::Result<()> {
    fs::metadata(directory).map(drop)
}

#[cfg(test)]
mod tests;
