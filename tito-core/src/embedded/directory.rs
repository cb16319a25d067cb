//! What a database directory holds: the database file, the log beside it, and while the file is being created one more.

use std::ffi::OsString;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use redb::{DatabaseError, StorageError};

use super::committer::guarded;
use super::storage::{Base, DATABASE_FILE, OpenError, Storage};
use crate::error::{BoxError, Result, TitoError};

const FILE_BEING_CREATED: &str = "tito.redb.new";

/// Opens or creates the database in a directory. A directory that holds anything else is left as it is.
pub(super) fn open(directory: &Path, cache_bytes: usize, memtable_bytes: usize) -> Result<Storage> {
    let file = directory.join(DATABASE_FILE);
    if !exists(&file)? {
        create(directory, &file, cache_bytes)?;
    }
    check_log(directory, &file)?;
    let base = open_file(directory, &file, cache_bytes)?;
    guarded(|| Storage::recover(directory, base, memtable_bytes)).map_err(|error| damaged_log(directory, error))
}

/// Reads the log before redb opens its file, because that already changes the file. Under redb's own lock, so that the
/// log is nobody's who is writing it.
fn check_log(directory: &Path, file: &Path) -> Result<()> {
    let unreadable = |error: io::Error| invalid(file, "it can't be read", Some(error.into()));
    let lock = File::open(file).map_err(unreadable)?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(in_use(directory)),
        Err(TryLockError::Error(error)) => return Err(unreadable(error)),
    }
    guarded(|| Storage::check_log(directory)).map_err(|error| damaged_log(directory, error))
}

fn damaged_log(directory: &Path, error: BoxError) -> TitoError {
    invalid(directory, "expected a whole and undamaged log", Some(error))
}

fn exists(path: &Path) -> Result<bool> {
    path.try_exists().map_err(|error| invalid(path, "it can't be read", Some(error.into())))
}

/// Creates the database under another name and gives it its own when it is complete, so that a process killed half-way
/// leaves nothing that looks like a damaged database.
fn create(directory: &Path, file: &Path, cache_bytes: usize) -> Result<()> {
    fs::create_dir_all(directory)
        .map_err(|error| invalid(directory, "the directory can't be created", Some(error.into())))?;
    let being_created = directory.join(FILE_BEING_CREATED);
    let entries = fs::read_dir(directory).and_then(|entries| entries.collect::<io::Result<Vec<_>>>());
    let entries = entries.map_err(|error| invalid(directory, "it is not a readable directory", Some(error.into())))?;
    if entries.iter().any(|entry| entry.file_name() == DATABASE_FILE) {
        // Another process has created it since.
        return Ok(());
    }
    // What a file system puts into its root is not in the way of a database there.
    let is_ours = |name: OsString| name == FILE_BEING_CREATED || name == "lost+found";
    if let Some(foreign) = entries.iter().find(|entry| !is_ours(entry.file_name())) {
        let reason = format!("it has no {DATABASE_FILE}, but it is not empty either (found {:?})", foreign.file_name());
        return Err(TitoError::InvalidDatabase { path: directory.to_path_buf(), reason, source: None });
    }
    let storage = |error: BoxError| TitoError::Storage { operation: "creating the database", source: error };
    if entries.iter().any(|entry| entry.file_name() == FILE_BEING_CREATED) {
        // Another process may be creating it this very moment; if so it holds the lock of the file.
        match guarded(|| Ok(Base::open(&being_created, cache_bytes))) {
            Ok(Err(OpenError::Database(DatabaseError::DatabaseAlreadyOpen))) => return Err(in_use(directory)),
            Ok(_) | Err(_) => {
                fs::remove_file(&being_created).or_else(ignore_missing).map_err(|error| storage(error.into()))?;
            }
        }
    }
    guarded(|| Base::create(&being_created, cache_bytes)).map_err(storage)?;
    // Unlike a rename, a link never replaces a database that another process has created meanwhile.
    match fs::hard_link(&being_created, file) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        // Another process has just linked it and removed the name that both created it under.
        Err(error) if error.kind() == io::ErrorKind::NotFound && exists(file)? => return Ok(()),
        Err(error) => return Err(storage(error.into())),
    }
    let tidied =
        fs::remove_file(&being_created).or_else(ignore_missing).and_then(|()| File::open(directory)?.sync_all());
    tidied.map_err(|error| storage(error.into()))
}

fn ignore_missing(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) }
}

fn open_file(directory: &Path, file: &Path, cache_bytes: usize) -> Result<Base> {
    match guarded(|| Ok(Base::open(file, cache_bytes))) {
        Ok(Ok(store)) => Ok(store),
        Ok(Err(OpenError::Database(DatabaseError::DatabaseAlreadyOpen))) => Err(in_use(directory)),
        Ok(Err(OpenError::Database(DatabaseError::Storage(StorageError::Io(error))))) => {
            Err(invalid(file, "expected a database file of Tito's, complete and readable", Some(error.into())))
        }
        Ok(Err(OpenError::Database(error))) => {
            Err(invalid(file, "expected a database file of Tito's, undamaged", Some(error.into())))
        }
        Ok(Err(OpenError::Format(reason))) => Err(invalid(file, &reason, None)),
        Ok(Err(OpenError::Other(source))) => {
            Err(invalid(file, "expected a database file of Tito's, undamaged", Some(source)))
        }
        Err(panic) => Err(invalid(file, "expected a database file of Tito's, undamaged", Some(panic))),
    }
}

fn in_use(directory: &Path) -> TitoError {
    TitoError::DatabaseInUse { directory: directory.to_path_buf() }
}

fn invalid(path: &Path, reason: &str, source: Option<BoxError>) -> TitoError {
    TitoError::InvalidDatabase { path: PathBuf::from(path), reason: reason.to_string(), source }
}
