//! Opens the database in a directory, or creates it: what may be in the directory, and what is an error.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use redb::{DatabaseError, StorageError};

use super::committer::guarded;
use super::storage::{
    Base, DATABASE_FILE, DataFile, Directory, Faults, LogError, Modes, OnFlushed, OpenError, Space, Storage, is_full,
};
use super::store::Store;
use crate::engine::{Purpose, check_whole, is_one_already};
use crate::error::{BoxError, Result, SharedError, TitoError};
use crate::keys;
use crate::timestamp::Timestamp;

const FILE_BEING_CREATED: &str = "tito.redb.new";

/// The socket in a database's directory through which the process that has it open answers tools. It is not part of the
/// database: one that was left behind does no harm.
pub const SOCKET_FILE: &str = "tito.sock";

/// The file in a database's directory that says where that socket is, if its path would be too long there.
pub const SOCKET_PLACE_FILE: &str = "tito.sock.at";

/// How long whoever opens a database waits for those who read it.
const READERS_AWAITED: Duration = Duration::from_secs(10);

/// How often it checks whether they are gone.
const LOOK: Duration = Duration::from_millis(10);

/// How often a creation that met another process's is started again.
const CREATIONS: u32 = 10;

/// What a database on disk is opened with.
#[derive(Clone, Debug)]
pub(super) struct DiskOptions {
    pub(super) cache_bytes: usize,
    pub(super) memtable_bytes: usize,
    pub(super) modes: Modes,
    pub(super) purpose: Purpose,
    /// Only tests of this crate make any.
    pub(super) faults: Faults,
}

/// What timestamps have to come after, whatever the database has handed out itself.
pub(super) fn timestamps_after(purpose: &Purpose) -> Timestamp {
    match purpose {
        Purpose::Fill(filling) => filling.after(),
        Purpose::Use | Purpose::Look | Purpose::Read => Timestamp::ZERO,
    }
}

/// Opens or creates the database in a directory. A directory that holds anything else is left as it is.
pub(super) fn open(path: &Path, options: &DiskOptions, on_flushed: OnFlushed) -> Result<Storage> {
    let (modes, faults) = (options.modes, options.faults.clone());
    let opened = match options.purpose {
        Purpose::Read => Directory::open_to_read(path, modes, faults),
        Purpose::Look => Directory::open(path, modes, faults),
        Purpose::Use | Purpose::Fill(_) => Directory::create(path, modes, faults),
    };
    let is_to_read = matches!(options.purpose, Purpose::Read);
    let is_there = is_to_read || matches!(options.purpose, Purpose::Look);
    let directory = opened.map_err(|error| match error.kind() {
        io::ErrorKind::NotADirectory => invalid(path, "it is not a directory", Some(error.into())),
        io::ErrorKind::NotFound if is_there => no_database(path, "there is no such directory"),
        _ => failed(path, error),
    })?;
    if !has(&directory, DATABASE_FILE)? {
        if is_there {
            return Err(no_database(path, &format!("it has no {DATABASE_FILE}")));
        }
        // Whoever made the directory may have been killed before its name was durable.
        directory.sync_name().map_err(|error| failed(path, error))?;
        create(&directory, options)?;
    }
    let path = &directory.path().join(DATABASE_FILE);
    let file = directory.open_file(DATABASE_FILE).map_err(|error| failed(path, error))?;
    // The lock that redb takes too. The log is read under it, so that it is nobody's who is writing it, and before redb
    // opens the file, because that already changes the file.
    let locked = if is_to_read { file.try_lock_to_read() } else { lock(&file) };
    if !locked.map_err(|error| failed(path, error))? {
        return Err(in_use(&directory));
    }
    let damaged = |error: LogError| match error {
        LogError::Io(error) => failed(directory.path(), error),
        LogError::Damaged(reason) => {
            invalid(directory.path(), "expected a whole and undamaged log", Some(reason.into()))
        }
    };
    let log = Storage::read_log(&directory).map_err(damaged)?;
    let space = Arc::new(Space::default());
    let open_base = || {
        Ok(if is_to_read {
            Base::open_to_read(file, options.cache_bytes)
        } else {
            Base::open(file, space.clone(), options.cache_bytes)
        })
    };
    let base = match guarded(open_base) {
        Ok(opened) => opened.map_err(|error| not_opened(&directory, path, error))?,
        Err(panic) => return Err(invalid(path, UNDAMAGED, Some(panic))),
    };
    // Where the lock had to be given up for redb's, another process may have written meanwhile.
    #[cfg(not(unix))]
    let log = Storage::read_log(&directory).map_err(damaged)?;
    if is_there && !base.has_stored_identity() {
        let reason = "it does not say which it is; an application that opens and closes it makes it say so";
        return Err(no_database(directory.path(), reason));
    }
    let recover = || {
        let directory = directory.clone();
        Ok(if is_to_read {
            Storage::read_only(directory, base, log, space, on_flushed)
        } else {
            Storage::recover(directory, base, log, space, options.memtable_bytes, on_flushed)
        })
    };
    let storage = match guarded(recover) {
        Ok(recovered) => recovered.map_err(damaged)?,
        Err(panic) => return Err(invalid(path, UNDAMAGED, Some(panic))),
    };
    let mark = storage.snapshot().get(&keys::filling()).map_err(|source| storage_failed("open", source))?;
    match (&options.purpose, mark) {
        (Purpose::Fill(_), Some(_)) => {}
        (Purpose::Fill(_), None) => return Err(is_one_already()),
        (Purpose::Use | Purpose::Look | Purpose::Read, mark) => check_whole(mark.as_deref())?,
    }
    Ok(storage)
}

/// Takes the lock of one who writes. Those who only read are waited for.
fn lock(file: &DataFile) -> io::Result<bool> {
    let deadline = Instant::now() + READERS_AWAITED;
    while !file.try_lock()? {
        // Nobody who writes has it if one who reads can.
        if Instant::now() > deadline || !file.try_lock_to_read()? {
            return Ok(false);
        }
        file.unlock()?;
        std::thread::sleep(LOOK + Duration::from_millis(fastrand::u64(0..10)));
    }
    Ok(true)
}

fn no_database(path: &Path, reason: &str) -> TitoError {
    TitoError::NoDatabase { reason: format!("{}: {reason}", path.display()) }
}

/// Creates the database under a temporary name and renames it when it is complete, so that a process killed half-way
/// leaves nothing that looks like a damaged database.
fn create(directory: &Directory, options: &DiskOptions) -> Result<()> {
    for _ in 0..CREATIONS {
        if try_create(directory, options)? {
            return Ok(());
        }
    }
    Err(in_use(directory))
}

/// Whether there is a database now; not if another process takes part in its creation.
fn try_create(directory: &Directory, options: &DiskOptions) -> Result<bool> {
    let path = directory.path();
    let names = directory.names().map_err(|error| failed(path, error))?;
    if names.iter().any(|name| name == DATABASE_FILE) {
        // Another process has created it since.
        return Ok(true);
    }
    // What a file system puts into its root is not in the way of a database there.
    let is_ours =
        |name: &String| [FILE_BEING_CREATED, SOCKET_FILE, SOCKET_PLACE_FILE, "lost+found"].contains(&name.as_str());
    if let Some(foreign) = names.iter().find(|name| !is_ours(name)) {
        let reason = format!("it has no {DATABASE_FILE}, but it is not empty either (found {foreign:?})");
        return Err(TitoError::InvalidDatabase { path: path.to_path_buf(), reason, source: None });
    }
    if names.iter().any(|name| name == FILE_BEING_CREATED) {
        remove_stale(directory)?;
    }
    let created = match directory.create_file(FILE_BEING_CREATED) {
        Ok(file) => match is_ours_now(directory, &file) {
            Ok(true) => guarded(|| {
                let mark = match &options.purpose {
                    Purpose::Fill(filling) => Some(filling.mark()),
                    Purpose::Use | Purpose::Look | Purpose::Read => None,
                };
                Base::create(file, options.cache_bytes, mark)
            }),
            Ok(false) => return Ok(false),
            Err(error) => Err(error.into()),
        },
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(false),
        Err(error) => Err(error.into()),
    };
    if let Err(error) = created {
        // What is left is thrown away by the next opening, if not now.
        let _ = directory.remove_if_there(FILE_BEING_CREATED);
        return Err(storage_failed("creating the database", error));
    }
    // Unlike a rename, a link never replaces a database that another process has created meanwhile.
    match directory.link(FILE_BEING_CREATED, DATABASE_FILE) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        // Another process took the file for one that was left behind.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(failed(path, error)),
    }
    let tidied = directory.remove_if_there(FILE_BEING_CREATED).and_then(|()| directory.sync());
    tidied.map(|()| true).map_err(|error| failed(path, error))
}

/// Takes the lock of the file that is being created. Without it another process may have taken the file for one that was
/// left behind, and may have given its name to one of its own.
fn is_ours_now(directory: &Directory, file: &DataFile) -> io::Result<bool> {
    Ok(file.try_lock()? && directory.is_name_of(FILE_BEING_CREATED, file)?)
}

/// Removes the file of a creation that was killed. Another process may be creating it this very moment; if so it holds
/// the file's lock.
fn remove_stale(directory: &Directory) -> Result<()> {
    let path = || directory.path().join(FILE_BEING_CREATED);
    match directory.open_file(FILE_BEING_CREATED) {
        Ok(file) if !file.try_lock().map_err(|error| failed(&path(), error))? => return Err(in_use(directory)),
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(&path(), error)),
    }
    directory.remove_if_there(FILE_BEING_CREATED).map_err(|error| failed(&path(), error))
}

fn has(directory: &Directory, name: &str) -> Result<bool> {
    directory.contains(name).map_err(|error| failed(&directory.path().join(name), error))
}

const UNDAMAGED: &str = "expected a database file of Tito's, undamaged";

fn not_opened(directory: &Directory, path: &Path, error: OpenError) -> TitoError {
    match error {
        OpenError::Database(DatabaseError::DatabaseAlreadyOpen) => in_use(directory),
        OpenError::Database(DatabaseError::Storage(StorageError::Io(error))) if is_damage(&error) => {
            invalid(path, "expected a database file of Tito's, complete and readable", Some(error.into()))
        }
        OpenError::Database(DatabaseError::Storage(StorageError::Io(error))) => failed(path, error),
        OpenError::Database(error) => invalid(path, UNDAMAGED, Some(error.into())),
        OpenError::Format(reason) => invalid(path, &reason, None),
        OpenError::Identity(error) => error,
        OpenError::Other(source) => match source.downcast::<io::Error>() {
            Ok(error) if !is_damage(&error) => failed(path, *error),
            Ok(error) => invalid(path, UNDAMAGED, Some(error.into())),
            Err(source) => invalid(path, UNDAMAGED, Some(source.into())),
        },
    }
}

/// Whether it is how redb reports a file that ends too early, or that is not a database.
fn is_damage(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData)
}

fn in_use(directory: &Directory) -> TitoError {
    TitoError::DatabaseInUse { directory: directory.path().to_path_buf() }
}

fn invalid(path: &Path, reason: &str, source: Option<SharedError>) -> TitoError {
    TitoError::InvalidDatabase { path: path.to_path_buf(), reason: reason.to_string(), source }
}

/// A file system error, which says nothing about what is stored.
fn failed(path: &Path, error: io::Error) -> TitoError {
    storage_failed("opening the database", Box::new(FileError { path: path.to_path_buf(), source: error }))
}

/// A file system error, with the file.
#[derive(Debug, thiserror::Error)]
#[error("{}: {source}", path.display())]
struct FileError {
    path: std::path::PathBuf,
    source: io::Error,
}

/// An error of the storage: [`TitoError::StorageFull`] if there was no space.
pub(super) fn storage_failed(operation: &'static str, source: BoxError) -> TitoError {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&*source);
    while let Some(error) = cause {
        if error.downcast_ref::<io::Error>().is_some_and(is_full) {
            return TitoError::StorageFull { operation, source: source.into() };
        }
        cause = error.source();
    }
    TitoError::Storage { operation, source: source.into() }
}
